// Which of several matches is the least loaded: those of one rank share their work.
import type { Duplex } from 'node:stream';
import { timing } from '@dipus/proto/timing';
import { askInfo } from '@dipus/session/control-client';
import type { Candidate } from './candidates.ts';

// Of more than these some are asked, taken at random: the best of many is little better than the best of some.
const maxAsked = 16;

/**
 * Candidates, lower ranks first; of one rank the one with the fewest running first, ties at random. Asks only where there is a choice, and
 * when its turn comes.
 */
export async function* byLoad(candidates: readonly Candidate[]): AsyncGenerator<Candidate> {
  for (let from = 0; from < candidates.length;) {
    const { rank } = candidates[from]!;
    const end = candidates.findIndex((candidate, at) => at > from && candidate.rank !== rank);
    const equals = candidates.slice(from, end < 0 ? undefined : end);
    from += equals.length;
    yield* equals.length === 1 ? equals : await leastLoadedFirst(equals);
  }
}

async function leastLoadedFirst(equals: readonly Candidate[]): Promise<Candidate[]> {
  const shuffled = shuffle(equals);
  const loads = await askLoads(shuffled.filter(({ kind }) => kind === 'session').slice(0, maxAsked));
  // One that cannot be asked, or does not answer, comes last.
  const loadOf = (candidate: Candidate): number => loads.get(candidate) ?? Number.MAX_SAFE_INTEGER;
  return shuffled.sort((a, b) => loadOf(a) - loadOf(b));
}

/** How many each serves or lets wait; of those that answer in time. One that is idle ends the asking: none can have fewer. */
async function askLoads(candidates: readonly Candidate[]): Promise<Map<Candidate, number>> {
  const loads = new Map<Candidate, number>();
  const opened = new Set<Duplex>();
  let isDecided = false;
  const ask = async (candidate: Candidate, idle: () => void): Promise<void> => {
    const dial = async (): Promise<Duplex> => {
      const socket = (await candidate.open('control')).on('error', () => {});
      if (isDecided) socket.destroy();
      else opened.add(socket);
      return socket;
    };
    const info = await askInfo(dial).catch(() => undefined);
    if (!info || isDecided) return;
    loads.set(candidate, info.running + info.waiting);
    if (info.running + info.waiting === 0) idle();
  };
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timing.loadMs);
    const decide = (): void => {
      clearTimeout(timer);
      resolve();
    };
    void Promise.all(candidates.map((candidate) => ask(candidate, decide))).then(decide);
  });
  isDecided = true;
  for (const socket of opened) socket.destroy();
  return loads;
}

function shuffle<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
