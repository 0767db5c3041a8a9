// The exporter's side of a pairing. What talks with the network (servePairing) and what changes files (takeInvitation) may be two
// processes.
import type { TLSSocket } from 'node:tls';
import { Failure } from '@dipus/proto/failure';
import { isPeerName } from '@dipus/proto/peers-file';
import type { Pin } from '@dipus/proto/pin';
import { appendGrant, readAuthorizedPeers } from './authorized-peers.ts';
import type { ConfigFolder } from './config-folder.ts';
import { openInvitations, takeOnce } from './invitations.ts';
import { bindingOf, isSameProof, proofBytes, proofOf, readAll } from './pair-proof.ts';
import { noInvitation } from './refusals.ts';

/** What somebody who wants to join has shown; text alone, so that it can be handed to another process. */
export interface JoinRequest {
  /** The binding of its connection, and its proof: base64. */
  readonly ekm: string;
  readonly proof: string;
  /** What it calls itself. */
  readonly name: string;
  readonly pin: Pin;
}

/** Our own proof, in base64, and the NAME under which it was invited; or why not. */
export type JoinAnswer = { readonly proof: string; readonly invited: string } | { readonly refusal: string };

const invalid: JoinAnswer = { refusal: noInvitation };

/**
 * Checks a proof against the open invitations; the one that fits becomes a line of authorized_peers, once. A wrong proof changes nothing.
 * Throws Failure where the line cannot be written; the invitation is good then as before.
 */
export function takeInvitation(folder: ConfigFolder, request: JoinRequest): JoinAnswer {
  const { name, pin } = request;
  if (!isPeerName(name)) return invalid;
  const bound = { ekm: Buffer.from(request.ekm, 'base64'), name };
  const proof = Buffer.from(request.proof, 'base64');
  const fitting = openInvitations(folder).filter(({ key }) => isSameProof(proofOf('join', key, bound), proof));
  const [invitation] = fitting;
  if (!invitation) return invalid;
  if (readAuthorizedPeers(folder, { warn: () => {} }).revoked.has(pin)) return { refusal: 'it has revoked this key' };
  const grant = { pin, name: invitation.name, options: invitation.options };
  const isOurs = takeOnce(folder, { invitation, taker: { pin, calledItself: name }, settle: () => appendGrant(folder, grant) });
  if (!isOurs) return invalid;
  return { proof: proofOf('invite', invitation.key, bound).toString('base64'), invited: invitation.name };
}

export interface PairingOptions {
  /** takeInvitation, here or in another process. */
  take(request: JoinRequest): JoinAnswer | Promise<JoinAnswer>;
  /** Somebody has joined. */
  joined(name: string, pin: Pin): void;
  /** A line for the log. */
  explain(line: string): void;
  warn(error: unknown): void;
}

/** Who has connected, and from where. */
export interface Joiner {
  readonly pin: Pin;
  readonly address: string;
}

/**
 * What answers a connection whose protocol is that of pairing, to its end; it takes at most 512 bytes. How many there are at a time and how
 * long each may take is the door's affair.
 */
export function servePairing(options: PairingOptions): (connection: TLSSocket, joiner: Joiner) => void {
  return (connection, joiner) => {
    connection.on('error', () => {});
    answerJoiner(connection, joiner, options).catch((error: unknown) => {
      connection.destroy();
      options.warn(error);
    });
  };
}

async function answerJoiner(connection: TLSSocket, { pin, address }: Joiner, options: PairingOptions): Promise<void> {
  const sent = await readAll(connection);
  if (!sent) {
    options.explain(`gave up pairing with ${pin} (${address}): it was lost, or sent too much`);
    connection.destroy();
    return;
  }
  const request: JoinRequest = {
    ekm: bindingOf(connection).toString('base64'),
    proof: sent.subarray(0, proofBytes).toString('base64'),
    name: sent.subarray(proofBytes).toString(),
    pin,
  };
  const answer = await decide(request, options);
  if ('refusal' in answer) options.explain(`refused to pair with ${pin} (${address}): ${answer.refusal}`);
  else options.joined(answer.invited, pin);
  connection.end('refusal' in answer ? refusal(answer.refusal) : Buffer.from(answer.proof, 'base64'));
}

async function decide(request: JoinRequest, { take, warn }: PairingOptions): Promise<JoinAnswer> {
  try {
    return await take(request);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    warn(error);
    return { refusal: 'it cannot be written down here' };
  }
}

function refusal(reason: string): Buffer {
  return Buffer.concat([Buffer.from([0]), Buffer.from(reason)]);
}
