import { refuseBeyondLoopback } from '@dipus/daemon/arguments';
import type { DaemonSurroundings } from '@dipus/daemon/start';
import { openEntrance } from '@dipus/ipc/entrance';
import { resolveAddresses } from '@dipus/ipc/listen';
import { openTcp } from '@dipus/ipc/open-uri';
import { rundirsOf } from '@dipus/ipc/rundir';
import { runDaemon } from '@dipus/ipc/run-daemon';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';

const scheme = 'tcp';

/** Serves until it is stopped. Throws Failure and UsageError. */
export async function dtcp(tree: Tree, args: Arguments, { context, host }: DaemonSurroundings): Promise<void> {
  const addresses = await resolveAddresses(args.addresses);
  if (!args.isPlain) refuseBeyondLoopback(addresses, { protocol: 'TCP', whoever: 'whoever reaches the port' });
  const rundirs = rundirsOf(process.env, []);
  const { max, to, graceMs } = args;
  await runDaemon(tree, {
    ...context,
    schemes: [scheme],
    host,
    max,
    rundirs,
    graceMs,
    open: async (uri, left) => ({ socket: await openTcp(uri, left), kind: 'tcp' }),
    enter: (streams) => openEntrance(addresses, { ...context, scheme, max, grounds: { tree, rundirs }, ...(to && { to }), streams }),
  });
}
