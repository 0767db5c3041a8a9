// The life of a protocol daemon, both ways: its names in the tree, its addresses on the network, and its end.
import { timing } from '@dipus/proto/timing';
import { aborted, delay } from '@dipus/proto/waiting';
import { OpenStreams } from '@dipus/session/open-streams';
import type { Tree } from '@dipus/tree/root';
import { serveDaemon, type DaemonOptions } from './daemon.ts';
import type { Entrance } from './entrance.ts';

export interface DaemonLife extends Omit<DaemonOptions, 'streams'> {
  /** Gives up what still takes time. */
  readonly stopNow: AbortSignal;
  /** How long open streams may finish after SIGTERM; timing.graceMs unless given. */
  readonly graceMs?: number | undefined;
  /** Lets the network in; what it relays is added to the streams. Undefined: nobody is let in. Rejects with Failure. */
  enter?(streams: OpenStreams): Promise<Entrance>;
  /** Prints lines: it is ready. */
  ready(lines: string): void;
}

/**
 * Opens URIs for others and lets guests in until it is stopped (the reason is the signal's name). Prints the URI of each address when it is
 * ready, then the path of its service. Throws Failure.
 */
export async function runDaemon(tree: Tree, life: DaemonLife): Promise<void> {
  const { stop, stopNow, enter, ready, graceMs = timing.graceMs } = life;
  const streams = new OpenStreams();
  const daemon = await serveDaemon(tree, { ...life, streams });
  let entrance: Entrance | undefined;
  try {
    entrance = await enter?.(streams);
    ready([...(entrance?.uris ?? []), daemon.path].map((line) => `${line}\n`).join(''));
    await aborted(stop);
    entrance?.close();
    daemon.withdraw();
    await Promise.race([streams.idle(), delay(stop.reason === 'SIGTERM' ? graceMs : 0), aborted(stopNow)]);
  } finally {
    daemon.release();
    entrance?.breakUnfinished?.();
    streams.close();
  }
}
