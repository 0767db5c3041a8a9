import type { Duplex } from 'node:stream';
import { reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';

export interface Called {
  readonly uri: string;
  /** The caller's. */
  readonly connection: Duplex;
}

/**
 * Calls one URI after the other, the next one when one has failed or timing.callGapMs have passed. The first that answers is it, and the
 * others are left. Rejects with the reason of the first after timing.callMs.
 */
export function callFirst(uris: readonly string[], dial: (uri: string) => Promise<Duplex>): Promise<Called> {
  return new Promise((resolve, reject) => {
    const reasons = new Map<string, string>();
    let failures = 0;
    let next = 0;
    let isOver = false;
    let gap: NodeJS.Timeout | undefined;
    const finish = (): void => {
      isOver = true;
      clearTimeout(late);
      clearTimeout(gap);
    };
    const fail = (): void => {
      finish();
      const [uri = ''] = uris;
      reject(new Error(`${uri}: ${reasons.get(uri) ?? `no answer within ${timing.callMs / 1000} s`}`));
    };
    const late = setTimeout(fail, timing.callMs);
    const begin = (): void => {
      clearTimeout(gap);
      const uri = uris[next++];
      if (isOver || uri === undefined) return;
      gap = setTimeout(begin, timing.callGapMs);
      dial(uri).then(
        (connection) => {
          if (isOver) connection.on('error', () => {}).destroy();
          else resolve({ uri, connection });
          finish();
        },
        (error: unknown) => {
          if (isOver) return;
          reasons.set(uri, reasonOf(error));
          if (++failures === uris.length) fail();
          else begin();
        },
      );
    };
    begin();
  });
}
