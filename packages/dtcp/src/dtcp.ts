import { UsageError } from '@dipus/cli/errors';
import type { Context } from '@dipus/cli/run';
import { openEntrance } from '@dipus/ipc/entrance';
import { isLoopback, resolveAddresses, type ListenAddress } from '@dipus/ipc/listen';
import { openTcp } from '@dipus/ipc/open-uri';
import { rundirsOf } from '@dipus/ipc/rundir';
import { runDaemon } from '@dipus/ipc/run-daemon';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';

const scheme = 'tcp';

/** Serves until it is stopped. Throws Failure and UsageError. */
export async function dtcp(tree: Tree, args: Arguments, { context, host }: { context: Context; host: string }): Promise<void> {
  const addresses = await resolveAddresses(args.addresses);
  if (!args.isPlain) refuseBeyondLoopback(addresses);
  const rundirs = rundirsOf(process.env, []);
  const { max, to, graceMs } = args;
  await runDaemon(tree, {
    ...context,
    scheme,
    host,
    max,
    rundirs,
    graceMs,
    open: async (uri, left) => ({ socket: await openTcp(uri, left), kind: 'tcp' }),
    enter: (streams) => openEntrance(addresses, { ...context, scheme, max, grounds: { tree, rundirs }, ...(to && { to }), streams }),
  });
}

function refuseBeyondLoopback(addresses: readonly ListenAddress[]): void {
  const beyond = addresses.find(({ host }) => !isLoopback(host));
  if (!beyond) return;
  throw new UsageError(
    `-l ${beyond.host} needs --plain: TCP is neither encrypted nor authenticated`,
    'with --plain whoever reaches the port may use what is let in; dtls asks for a key',
  );
}
