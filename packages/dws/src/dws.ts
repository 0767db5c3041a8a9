import { refuseBeyondLoopback } from '@dipus/daemon/arguments';
import type { DaemonSurroundings } from '@dipus/daemon/start';
import { resolveAddresses } from '@dipus/ipc/listen';
import { rundirsOf } from '@dipus/ipc/rundir';
import { runDaemon } from '@dipus/ipc/run-daemon';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { openWeb } from './connect.ts';
import { openWebEntrance } from './entrance.ts';

/** Serves until it is stopped. Throws Failure and UsageError. */
export async function dws(tree: Tree, args: Arguments, { context, host }: DaemonSurroundings): Promise<void> {
  const addresses = await resolveAddresses(args.addresses);
  if (!args.isPlain) refuseBeyondLoopback(addresses, { protocol: 'a WebSocket', whoever: 'whoever reaches the port' });
  const rundirs = rundirsOf(process.env, []);
  const { max, to, origins } = args;
  await runDaemon(tree, {
    ...context,
    schemes: ['ws', 'wss'],
    host,
    max,
    rundirs,
    open: async (uri, left, framing) => ({ socket: await openWeb(uri, framing, left), kind: 'channel' }),
    enter: (streams) => openWebEntrance(addresses, { ...context, max, origins, grounds: { tree, rundirs }, ...(to && { to }), streams }),
  });
}
