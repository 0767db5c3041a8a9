import { Descriptors } from '@dipus/cli/descriptors';
import type { Context } from '@dipus/cli/run';
import { timing } from '@dipus/proto/timing';
import { aborted, delay } from '@dipus/proto/waiting';
import { OpenStreams } from '@dipus/session/open-streams';
import { ServiceProxy } from '@dipus/session/service-proxy';
import { requireGroup } from '@dipus/tree/accounts';
import type { Wanted } from '@dipus/tree/claim';
import { keepService } from '@dipus/tree/keep';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { openTarget } from './target.ts';

/** Serves until it is stopped; prints the path of the service when it is ready. Throws Failure. */
export async function dlink(tree: Tree, args: Arguments, { context, host }: { context: Context; host: string }): Promise<void> {
  const { stop, stopNow, warn, explain, ready } = context;
  const wanted = wantedOf(args, host);
  const streams = new OpenStreams();
  const target = await openTarget(tree, args, context);
  try {
    const matchModes = (): boolean => kept.matchModes();
    const proxy = new ServiceProxy(target, { max: args.max, streams, descriptors: new Descriptors(), matchModes, explain });
    const kept = await keepService(tree, wanted, {
      open: () => proxy.open(),
      stop,
      reclaimed: (path) => warn(`${path} was taken away; claimed it again`),
      lost: warn,
    });
    if (kept.claim.isLong) warn(`foreign tools cannot reach ${kept.claim.path}: its path is too long for them`);
    ready(`${kept.claim.path}\n`);
    await aborted(stop);
    kept.release();
    await Promise.race([streams.idle(), delay(stop.reason === 'SIGTERM' ? timing.graceMs : 0), aborted(stopNow)]);
  } finally {
    streams.close();
    target.close();
  }
}

function wantedOf({ area, protocol, name, instance, mode, group }: Arguments, host: string): Wanted {
  const gid = group === undefined ? undefined : requireGroup(group);
  const optional = { ...(instance !== undefined && { instance }), ...(mode !== undefined && { mode }), ...(gid !== undefined && { gid }) };
  return { area, protocol, name, host, ...optional };
}
