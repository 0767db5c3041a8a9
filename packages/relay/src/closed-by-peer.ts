import type { Duplex } from 'node:stream';
import { delay } from '@dipus/proto/waiting';

const lookEveryMs = 50;

/** Resolves when the other side of a UNIX socket has closed it: a write of nothing tells (EPIPE). Never where we have ended it. */
export async function closedByPeer(data: Duplex): Promise<void> {
  for (;;) {
    if (data.writableEnded) return new Promise(() => {});
    const error = await new Promise((resolve) => data.write(Buffer.alloc(0), resolve));
    if (error) return;
    await delay(lookEveryMs);
  }
}
