import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { delay } from '@dipus/proto/waiting';
import { askExactly, readBytes, socketOptions, type TcpAddress } from './bytes.ts';
import { answerBytes, isAnswer, formatCall } from './handshake.ts';
import type { Pair } from './listen.ts';

// As in happy eyeballs (RFC 8305, section 5): the next address is tried without giving up the one before.
const staggerMs = 200;

/**
 * Calls all addresses, and takes the first where somebody shows the token. Rejects when none does within `limitMs`.
 * The sockets of the pair are the caller's.
 */
export async function callAny(hosts: readonly string[], port: number, call: { token: string; limitMs: number }): Promise<Pair> {
  const over = new AbortController();
  const nonce = randomBytes(16).toString('hex');
  const timer = setTimeout(() => over.abort(), call.limitMs);
  try {
    const reached = await openFirst(
      hosts.map((host) => () => openControl({ host, port }, { token: call.token, nonce }, over.signal)),
      over.signal,
    );
    over.abort();
    return await openData(reached, call.token, nonce);
  } finally {
    clearTimeout(timer);
  }
}

/** Starts the attempts one after another, the next when the last has failed or takes long; the first success counts. */
async function openFirst(starts: readonly (() => Promise<Reached>)[], over: AbortSignal): Promise<Reached> {
  const attempts: Promise<Reached>[] = [];
  let isReached = false;
  for (const start of starts) {
    if (isReached || over.aborted) break;
    const attempt = start();
    attempt.then(
      () => (isReached = true),
      () => {},
    );
    attempts.push(attempt);
    await Promise.race([Promise.any(attempts).catch(() => {}), Promise.allSettled([attempt]), delay(staggerMs)]);
  }
  return Promise.any(attempts);
}

interface Reached {
  readonly address: TcpAddress;
  readonly control: Socket;
}

async function openControl(address: TcpAddress, { token, nonce }: { token: string; nonce: string }, over: AbortSignal): Promise<Reached> {
  const control = connect({ ...socketOptions, ...address });
  const drop = (): void => void control.destroy(new Error('given up'));
  over.addEventListener('abort', drop);
  control.on('error', () => {});
  try {
    control.write(formatCall(token, { role: 'c', nonce }));
    const answer = await readBytes(control, answerBytes);
    if (!isAnswer(token, { role: 'c', nonce }, answer)) throw new Error('somebody else listens at that port');
    over.throwIfAborted();
  } catch (error) {
    control.destroy();
    throw error;
  } finally {
    over.removeEventListener('abort', drop);
  }
  return { address, control };
}

async function openData({ address, control }: Reached, token: string, nonce: string): Promise<Pair> {
  try {
    const { socket, answer } = await askExactly(address, formatCall(token, { role: 'd', nonce }), answerBytes);
    if (!isAnswer(token, { role: 'd', nonce }, answer)) throw new Error('somebody else listens at that port');
    return { control, data: socket, answer: () => {} };
  } catch (error) {
    control.destroy();
    throw error;
  }
}
