// The joiner's side of a pairing.
import type { LookupFunction } from 'node:net';
import { Failure } from '@dipus/proto/failure';
import { knownHost } from '@dipus/proto/known-line';
import type { Pin } from '@dipus/proto/pin';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import { sepPort, type HostPort } from '@dipus/proto/uri';
import { secure, type Secured } from './dial.ts';
import type { Identity } from './identity.ts';
import { bindingOf, isSameProof, keyOfCode, proofOf, readAll } from './pair-proof.ts';
import { noInvitation } from './refusals.ts';
import { protocolName, shownPin } from './secured.ts';
import { formatExporter } from './trust-exporter.ts';

export interface JoinOptions {
  readonly identity: Identity;
  /** As readCode gives it. */
  readonly code: string;
  /** What this side calls itself. */
  readonly name: string;
  /** Finds the addresses of a name; the system does unless given. */
  readonly lookup?: LookupFunction;
  readonly stop: AbortSignal;
  /** Throws where the key that the exporter shows must not be paired with, before anything is sent. */
  check(pin: Pin): void;
}

/**
 * Pairs with an exporter: both sides prove that they know the code. Resolves with the exporter's pin, which is proved then, and that side
 * has written ours down. Rejects with Failure.
 */
export async function join(target: HostPort, options: JoinOptions): Promise<Pin> {
  const { raw, socket } = await connectToPair(target, options);
  const giveUp = (): void => void raw.destroy();
  const timer = setTimeout(giveUp, timing.pairMs);
  options.stop.addEventListener('abort', giveUp);
  try {
    const pin = shownPin(socket)!;
    options.check(pin);
    const key = keyOfCode(options.code);
    const bound = { ekm: bindingOf(socket), name: options.name };
    socket.end(Buffer.concat([proofOf('join', key, bound), Buffer.from(options.name)]));
    const answer = await readAll(socket);
    if (options.stop.aborted) throw stopped();
    if (!answer || !isSameProof(answer, proofOf('invite', key, bound))) throw refused(target, answer);
    return pin;
  } finally {
    clearTimeout(timer);
    options.stop.removeEventListener('abort', giveUp);
    raw.destroy();
  }
}

async function connectToPair({ host, port = sepPort }: HostPort, { identity, lookup, stop }: JoinOptions): Promise<Secured> {
  try {
    return await secure({ host, port, identity, stop, ...(lookup && { lookup }) }, protocolName.pairing);
  } catch (error) {
    if (stop.aborted) throw stopped();
    const isSilent = error instanceof Failure && ['ECONNREFUSED', 'ETIMEDOUT'].includes(error.code ?? '');
    throw isSilent ? error.withHint(`does dexport --seps run on ${host}?`) : error;
  }
}

function stopped(): Error {
  return Object.assign(new Error('stopped'), { name: 'AbortError' });
}

function refused(target: HostPort, answer: Buffer | undefined): Failure {
  const host = knownHost(target);
  const refuse = (reason: string, hint: string): Failure => new Failure('pair with', formatExporter(target), reason).withHint(hint);
  if (!answer || answer.length === 0) return refuse('it has closed the connection', 'it may be busy with others; try again');
  if (answer[0] !== 0) {
    return refuse('it does not know the code: SOMEBODY ELSE ANSWERS', 'nothing was written; try again in another network');
  }
  const reason = printable(answer.subarray(1).toString());
  const again = `a code is good once and for a short time; is it that of ${host}? dinvite prints another`;
  return refuse(reason, reason === noInvitation ? again : `ask whoever runs ${host}`);
}
