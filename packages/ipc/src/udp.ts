// What a daemon of ours for udp opens, and whoever opens udp:// where none runs: ipc(5), Between daemons.
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import type { Endpoint } from '@dipus/relay/endpoint';
import { timing } from '@dipus/proto/timing';
import { checkAnswer, Refused } from './answer.ts';
import type { Framing } from './ask-daemon.ts';
import { datagrams } from './datagrams.ts';
import type { NetworkUri } from './tcp.ts';

export interface UdpOptions {
  readonly framing: Framing;
  readonly idleMs: number;
  /** Nobody waits for it any more. */
  readonly left: AbortSignal;
  /** Ends the input of what is open. */
  readonly stop: AbortSignal;
  explain(line: string): void;
}

/** How much the system may hold for us; it takes as much of that as it allows. */
export const recvBufferSize: number = 1 << 20;

/**
 * Opens a session of datagrams, its service named and answered where the URI has one: half-open and not read yet, whole messages in its
 * chunks; the caller owns it. Rejects with Refused or the system's error.
 */
export async function openUdp(uri: NetworkUri, options: UdpOptions): Promise<Endpoint> {
  const { address, family } = await lookup(uri.host);
  const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4', recvBufferSize });
  try {
    await connect(socket, { address, port: uri.port });
    const asks = uri.service === undefined ? 0 : await ask(socket, uri.service, options.left);
    return { socket: streamOf(socket, asks, options), kind: 'channel' };
  } catch (error) {
    socket.close();
    throw error;
  }
}

function connect(socket: Socket, { address, port }: { address: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(port, address, () => {
      socket.off('error', reject);
      resolve();
    });
  });
}

/** Sends the name until it is answered. Returns how often it was. */
function ask(socket: Socket, service: string, left: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    let asked = 0;
    const settle = (act: () => void): void => {
      clearInterval(timer);
      socket.off('message', answered).off('error', broken);
      left.removeEventListener('abort', given);
      act();
    };
    const refuse = (reason: string): void => settle(() => reject(new Refused(reason)));
    const given = (): void => refuse('given up');
    const broken = (error: Error): void => settle(() => reject(error));
    const answered = (datagram: Buffer): void =>
      settle(() => {
        try {
          checkAnswer(datagram.toString());
          resolve(asked);
        } catch (error) {
          reject(error);
        }
      });
    const send = (): void => {
      if (asked * timing.datagramAskMs >= timing.datagramAnswerMs) return refuse(`no answer within ${timing.datagramAnswerMs / 1000} s`);
      asked++;
      socket.send(service, (error) => error && broken(error));
    };
    const timer = setInterval(send, timing.datagramAskMs);
    socket.on('message', answered).on('error', broken);
    left.addEventListener('abort', given);
    if (left.aborted) return given();
    send();
  });
}

function streamOf(socket: Socket, asks: number, { framing, idleMs, stop, explain }: UdpOptions): Endpoint['socket'] & { stop(): void } {
  const made = datagrams({
    framing,
    idleMs,
    stop,
    send: (bytes, done) => socket.send(bytes, done),
    ended: () => {},
    closed: () => {
      socket.close();
      if (made.dropped > 0) explain(`udp: ${made.dropped} datagrams dropped`);
    },
  });
  // Each ask that was answered late has an answer of its own.
  let answers = asks - 1;
  socket.on('message', (datagram) => {
    const isAnswer = answers > 0 && datagram.toString() === 'ok';
    answers = isAnswer ? answers - 1 : 0;
    if (!isAnswer) made.receive(datagram);
  });
  socket.on('error', (error) => made.stream.destroy(error));
  return made.stream;
}
