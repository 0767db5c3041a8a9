import { refuseBeyondLoopback } from '@dipus/daemon/arguments';
import type { DaemonSurroundings } from '@dipus/daemon/start';
import { resolveAddresses } from '@dipus/ipc/listen';
import { rundirsOf } from '@dipus/ipc/rundir';
import { runDaemon } from '@dipus/ipc/run-daemon';
import { parseNetworkUri } from '@dipus/ipc/tcp';
import { openUdp } from '@dipus/ipc/udp';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { openUdpEntrance } from './entrance.ts';

/** Serves until it is stopped. Throws Failure and UsageError. */
export async function dudp(tree: Tree, args: Arguments, { context, host }: DaemonSurroundings): Promise<void> {
  const addresses = await resolveAddresses(args.addresses);
  if (!args.isPlain) refuseBeyondLoopback(addresses, { protocol: 'UDP', whoever: 'whoever reaches the port, or says so,' });
  const rundirs = rundirsOf(process.env, []);
  const { max, to, idleMs } = args;
  const { stop, explain } = context;
  await runDaemon(tree, {
    ...context,
    schemes: ['udp'],
    host,
    max,
    rundirs,
    open: (uri, left, framing) => openUdp(parseNetworkUri(uri), { framing, left, idleMs, stop, explain }),
    enter: (streams) => openUdpEntrance(addresses, { ...context, max, idleMs, grounds: { tree, rundirs }, ...(to && { to }), streams }),
  });
}
