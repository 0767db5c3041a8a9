import { UsageError } from '@dipus/cli/errors';
import type { Context } from '@dipus/cli/run';
import { isLoopback, resolveAddresses, type ListenAddress } from '@dipus/ipc/listen';
import { rundirsOf } from '@dipus/ipc/rundir';
import { runDaemon } from '@dipus/ipc/run-daemon';
import { parseNetworkUri } from '@dipus/ipc/tcp';
import { openUdp } from '@dipus/ipc/udp';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { openUdpEntrance } from './entrance.ts';

/** Serves until it is stopped. Throws Failure and UsageError. */
export async function dudp(tree: Tree, args: Arguments, { context, host }: { context: Context; host: string }): Promise<void> {
  const addresses = await resolveAddresses(args.addresses);
  if (!args.isPlain) refuseBeyondLoopback(addresses);
  const rundirs = rundirsOf(process.env, []);
  const { max, to, idleMs } = args;
  const { stop, explain } = context;
  await runDaemon(tree, {
    ...context,
    scheme: 'udp',
    host,
    max,
    rundirs,
    keepsMessages: true,
    open: (uri, left, framing) => openUdp(parseNetworkUri(uri), { framing, left, idleMs, stop, explain }),
    enter: (streams) => openUdpEntrance(addresses, { ...context, max, idleMs, grounds: { tree, rundirs }, ...(to && { to }), streams }),
  });
}

function refuseBeyondLoopback(addresses: readonly ListenAddress[]): void {
  const beyond = addresses.find(({ host }) => !isLoopback(host));
  if (!beyond) return;
  throw new UsageError(
    `-l ${beyond.host} needs --plain: UDP is neither encrypted nor authenticated`,
    'with --plain whoever reaches the port, or says so, may use what is let in; dtls asks for a key',
  );
}
