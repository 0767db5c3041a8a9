// A socket's bytes to stdout, through this process as long as they are few: another one takes longer to start than they take to copy.
import type { Socket } from 'node:net';
import { pumpAlone, startCopy, withReset, type Copy } from './cat.ts';
import { pumpUpTo } from './pump.ts';
import { writableOf } from './stdio.ts';

const longBytes = 1 << 20;

/** Copies as startCopy() does, from a socket that nobody has read. */
export function startShortCopy(source: Socket, target: number): Copy {
  const writable = writableOf(target);
  if (!writable) return startCopy(source, target);
  let rest: Copy | undefined;
  let isStopped = false;
  const pumped = pumpUpTo(source, writable, longBytes).then(async (end) => {
    // What came before an error is not lost.
    if (end !== 'enough' && end.kind === 'read-error') await new Promise((resolve) => writable.write(Buffer.alloc(0), resolve));
    if (end !== 'enough') return withReset(end, source);
    if (isStopped) return { kind: 'stopped' } as const;
    rest = startCopy(source, target);
    return rest.ended;
  });
  const short = pumpAlone(pumped, writable);
  const stop = (): void => {
    isStopped = true;
    rest?.stop();
    short.stop();
  };
  return { ...short, stop };
}
