// The way to an exporter: TCP, TLS, its key judged, channels.
import { once } from 'node:events';
import { connect as connectTcp, type LookupFunction, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { codeOf, Failure, systemError } from '@dipus/proto/failure';
import type { Pin } from '@dipus/proto/pin';
import { timing } from '@dipus/proto/timing';
import { ChannelError } from './channel-error.ts';
import { Channels } from './channels.ts';
import type { ProvenPeer } from './proven-peer.ts';
import { codeOfRefusal } from './refusals.ts';
import { protocolName, shownPin, type KeyPair } from './secured.ts';
import { formatExporter } from './trust-exporter.ts';

export interface DialOptions {
  readonly host: string;
  readonly port: number;
  /** Resolves the host; by the system unless given. */
  readonly lookup?: LookupFunction;
  readonly identity: KeyPair;
  /**
   * Says whose key this is before a byte is sent inside TLS. Rejects where it must not be used: `dial` rejects with that. It may ask a
   * person; where that takes long it is asked again, for another connection.
   */
  readonly judge: (pin: Pin) => ProvenPeer | Promise<ProvenPeer>;
  /** Gives up; `dial` rejects with a Failure. */
  readonly stop?: AbortSignal;
}

/**
 * Connects to an exporter. Resolves when it has said WELCOME; the caller's to close then. Rejects with what `judge` throws, else with a
 * Failure, its code that of the system: EACCES where the exporter does not know this key, EAGAIN where it is busy.
 */
export async function dial(options: DialOptions): Promise<Channels> {
  const printed = formatExporter(options);
  const { raw, socket } = await secure(options, protocolName.channels);
  try {
    const askedAt = performance.now();
    const peer = await options.judge(provedPin(socket, printed));
    // The other side may have given up meanwhile.
    if (performance.now() - askedAt > timing.pingMs) {
      raw.destroy();
      return await dial(options);
    }
    const channels = new Channels(socket, { peer, raw });
    await within(channels.welcomed, { raw, printed, stop: options.stop });
    return channels;
  } catch (error) {
    raw.destroy();
    throw error instanceof ChannelError ? new Failure('connect to', printed, refusalOf(error)) : error;
  }
}

/** A connection in which nothing has been sent inside TLS. The caller's to close: `raw` alone can be reset. */
export interface Secured {
  readonly raw: Socket;
  readonly socket: TLSSocket;
}

/**
 * Connects to an exporter as far as the end of the handshake, for one of the names of `protocolName`. The key that it has proved to have is
 * not judged: see `shownPin`. Rejects with a Failure.
 */
export async function secure(options: Omit<DialOptions, 'judge'>, protocol: string): Promise<Secured> {
  const { host, port, lookup, identity, stop } = options;
  const printed = formatExporter(options);
  const raw = connectTcp({ host, port, ...(lookup && { lookup }), allowHalfOpen: true });
  // What fails is told by the TLS socket, or by whoever waits.
  raw.on('error', () => {});
  try {
    await within(once(raw, 'connect'), { raw, printed, stop });
    // Node ignores these as options of tls.connect before version 24.
    raw.setNoDelay(true).setKeepAlive(true, timing.keepAliveMs);
    const socket = connectTls({
      socket: raw,
      key: identity.key,
      cert: identity.cert,
      ALPNProtocols: [protocol],
      minVersion: 'TLSv1.3',
      // The pin is what is judged.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => {});
    await within(once(socket, 'secureConnect'), { raw, printed, stop });
    if (socket.alpnProtocol !== protocol) throw new Failure('connect to', printed, noExporter);
    return { raw, socket };
  } catch (error) {
    raw.destroy();
    throw error instanceof Failure ? error : failureOfTls(printed, error);
  }
}

function failureOfTls(printed: string, error: unknown): Failure {
  const failure = new Failure('connect to', printed, reasonOfTls(error));
  // Whoever may not begin is not told why.
  const isTurnedAway = codeOf(error) === 'ECONNRESET';
  return isTurnedAway ? failure.withHint(turnedAway) : failure;
}

const turnedAway = 'an exporter lets a host wait that connects too often, or was refused ten times in a minute: try again later';

const noExporter = 'it speaks TLS, but is no exporter';

function provedPin(socket: TLSSocket, printed: string): Pin {
  const pin = shownPin(socket);
  if (pin === undefined) throw new Failure('connect to', printed, 'it shows no key');
  return pin;
}

interface Waiting {
  readonly raw: Socket;
  readonly printed: string;
  readonly stop: AbortSignal | undefined;
}

/** Waits for a step of the way, not longer than a head may take. The connection is destroyed where it is given up. */
async function within<T>(step: Promise<T>, { raw, printed, stop }: Waiting): Promise<T> {
  let giveUp: ((reason: string) => void) | undefined;
  const givenUp = new Promise<never>((_, reject) => (giveUp = (reason) => reject(new Failure('connect to', printed, reason))));
  const stopped = (): void => giveUp?.('it was given up');
  const closed = (): void => giveUp?.('the other side has closed the connection');
  const timer = setTimeout(() => giveUp?.(`no answer within ${timing.headMs / 1000} s`), timing.headMs);
  stop?.addEventListener('abort', stopped);
  raw.on('close', closed);
  if (stop?.aborted) stopped();
  try {
    return await Promise.race([step, givenUp]);
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener('abort', stopped);
    raw.off('close', closed);
  }
}

/** Whether `dial` was rejected because the exporter does not know the key. */
export function isDenial(error: unknown): boolean {
  return error instanceof Failure && error.cause instanceof Denial;
}

class Denial extends Error {
  readonly code = 'EACCES';
}

/** What the exporter said in WELCOME's place. */
function refusalOf({ message }: ChannelError): Error {
  const code = codeOfRefusal(message);
  if (code === 'EACCES') return new Denial(message);
  return code === undefined ? new Error(message) : systemError(code, message);
}

/** Errors of OpenSSL in words. */
function reasonOfTls(error: unknown): unknown {
  const code = codeOf(error) ?? '';
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER') return 'it speaks sep:// here, unencrypted';
  if (code === 'ECONNRESET') return systemError(code, 'it has closed the connection');
  if (/NO_APPLICATION_PROTOCOL/.test(code)) return noExporter;
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/.test(code)) return 'it does not speak TLS 1.3';
  return code.startsWith('ERR_SSL') ? `TLS: ${code.slice('ERR_SSL_'.length).toLowerCase().replaceAll('_', ' ')}` : error;
}
