// A connection that is not judged yet.
import type { Socket } from 'node:net';
import { timing } from '@dipus/proto/timing';

export interface Visitor {
  readonly raw: Socket;
  readonly address: string;
  /** It was judged: no time is set any more. */
  judged(): void;
}

/** Gives a connection so much time to be judged, and closes it then. `left` is called once: when it was judged, or is closed. */
export function receive(raw: Socket, address: string, left: () => void): Visitor {
  let isOver = false;
  const timer = setTimeout(() => raw.destroy(), timing.judgementMs);
  const leave = (): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    left();
  };
  raw.on('error', () => {}).once('close', leave);
  return { raw, address, judged: leave };
}

/** Waits for the first byte, which stays unread. Closes the connection where it ends without one. */
export function firstByte(raw: Socket, found: (byte: number) => void): void {
  const ended = (): void => void raw.destroy();
  raw.once('end', ended).once('data', (chunk: Buffer) => {
    raw.off('end', ended).pause();
    raw.unshift(chunk);
    found(chunk[0]!);
  });
}
