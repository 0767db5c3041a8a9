// The joiner's side of a pairing.
import type { LookupFunction } from 'node:net';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { codeOf, Failure } from '@dipus/proto/failure';
import { knownHost } from '@dipus/proto/known-line';
import type { Pin } from '@dipus/proto/pin';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import { sepPort, type HostPort } from '@dipus/proto/uri';
import { pinOfKey } from './certificate.ts';
import type { Identity } from './identity.ts';
import { bindingOf, isSameProof, keyOfCode, pairProtocol, proofOf, readAll } from './pair-proof.ts';
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
  const connection = await connectToPair(target, options);
  const giveUp = (): void => void connection.destroy();
  const timer = setTimeout(giveUp, timing.pairMs);
  options.stop.addEventListener('abort', giveUp);
  try {
    const pin = pinOfKey(connection.getPeerX509Certificate()!.publicKey);
    options.check(pin);
    const key = keyOfCode(options.code);
    const bound = { ekm: bindingOf(connection), name: options.name };
    connection.end(Buffer.concat([proofOf('join', key, bound), Buffer.from(options.name)]));
    const answer = await readAll(connection);
    if (options.stop.aborted) throw stopped();
    if (!answer || !isSameProof(answer, proofOf('invite', key, bound))) throw refused(target, answer);
    return pin;
  } finally {
    clearTimeout(timer);
    options.stop.removeEventListener('abort', giveUp);
    connection.destroy();
  }
}

function connectToPair(target: HostPort, { identity, lookup, stop }: JoinOptions): Promise<TLSSocket> {
  const { host, port = sepPort } = target;
  return new Promise((resolve, reject) => {
    // allowHalfOpen is missing in the types of Node 20.
    const settings: ConnectionOptions & { allowHalfOpen: boolean } = {
      host,
      port,
      ...(lookup && { lookup }),
      key: identity.key,
      cert: identity.cert,
      minVersion: 'TLSv1.3',
      ALPNProtocols: [pairProtocol],
      // The pin is the peer; nobody has signed it.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      allowHalfOpen: true,
    };
    const connection = connect(settings);
    const fail = (cause: unknown): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', abort);
      connection.destroy();
      reject(stop.aborted ? stopped() : connectFailure(target, cause));
    };
    const abort = (): void => fail(undefined);
    const timer = setTimeout(() => fail(Object.assign(new Error('it does not answer'), { code: 'ETIMEDOUT' })), timing.headMs);
    stop.addEventListener('abort', abort, { once: true });
    connection.once('error', fail);
    connection.once('secureConnect', () => {
      if (connection.alpnProtocol !== pairProtocol) return fail('what answers is no dexport');
      clearTimeout(timer);
      stop.removeEventListener('abort', abort);
      connection.off('error', fail).on('error', () => {});
      resolve(connection);
    });
  });
}

function stopped(): Error {
  return Object.assign(new Error('stopped'), { name: 'AbortError' });
}

function connectFailure(target: HostPort, cause: unknown): Failure {
  const code = codeOf(cause) ?? '';
  const verb = 'connect';
  const object = formatExporter(target);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') {
    return new Failure(verb, object, 'it speaks sep:// here, unencrypted').withHint(`on ${target.host}: dexport --seps`);
  }
  if (code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL') return new Failure(verb, object, 'what answers is no dexport');
  const isSilent = ['ECONNREFUSED', 'ETIMEDOUT'].includes(code);
  return new Failure(verb, object, cause).withHint(isSilent ? `does dexport --seps run on ${target.host}?` : undefined);
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
  return refuse(reason, reason === 'no such invitation' ? again : `ask whoever runs ${host}`);
}
