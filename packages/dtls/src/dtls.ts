import type { Duplex } from 'node:stream';
import type { DaemonSurroundings } from '@dipus/daemon/start';
import { Refused } from '@dipus/ipc/answer';
import { openEntrance } from '@dipus/ipc/entrance';
import { resolveAddresses } from '@dipus/ipc/listen';
import { rundirsOf } from '@dipus/ipc/rundir';
import { runDaemon } from '@dipus/ipc/run-daemon';
import { askForService, connectTcp, parseNetworkUri, type NetworkUri } from '@dipus/ipc/tcp';
import { UriError } from '@dipus/proto/uri';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { KeyFile } from './key-file.ts';
import { sealed } from './sealed.ts';
import { acceptSecure, connectSecure, type WantedKey } from './secure.ts';

const scheme = 'tls';

/** Serves until it is stopped. Throws Failure. */
export async function dtls(tree: Tree, args: Arguments, { context, host }: DaemonSurroundings): Promise<void> {
  const keys = new KeyFile(args.keys, context.warn);
  if (args.addresses.length > 0 && keys.keys().size === 0) context.warn(`nobody may come in yet: there is no key in ${args.keys}`);
  const addresses = await resolveAddresses(args.addresses);
  const rundirs = rundirsOf(process.env, []);
  const { max, to, graceMs } = args;
  await runDaemon(tree, {
    ...context,
    schemes: [scheme],
    host,
    max,
    rundirs,
    graceMs,
    open: async (uri, left) => ({ socket: await open(uri, keys, left), kind: 'channel' }),
    enter: (streams) =>
      openEntrance(addresses, {
        ...context,
        scheme,
        max,
        grounds: { tree, rundirs },
        ...(to && { to }),
        streams,
        welcome: async (connection) => {
          const { connection: secured, identity } = await acceptSecure(connection, keys);
          return { guest: sealed(secured, connection), identity };
        },
      }),
  });
}

async function open(uri: string, keys: KeyFile, left: AbortSignal): Promise<Duplex> {
  const wanted = readUri(uri);
  const key = keyFor(wanted, keys);
  const connection = await connectTcp(wanted, left);
  const stream = sealed(await connectSecure(connection, key), connection);
  try {
    if (wanted.service !== undefined) await askForService(stream, wanted.service);
    return stream;
  } catch (error) {
    stream.on('error', () => {}).destroy();
    throw error;
  }
}

/** Throws UriError. */
function readUri(uri: string): NetworkUri {
  try {
    return parseNetworkUri(uri);
  } catch (error) {
    // It is not told: it may have a secret in it.
    if (error instanceof UriError && uri.includes('@'))
      throw new UriError('it is not tls://[IDENTITY@]HOST:PORT[/SERVICE]; keys stand in the file of --keys, never in a URI');
    throw error;
  }
}

function keyFor({ identity }: NetworkUri, file: KeyFile): WantedKey {
  const keys = file.keys();
  const chosen = identity ?? (keys.size === 1 ? [...keys.keys()][0]! : undefined);
  if (chosen === undefined) throw new Refused(`the URI has to name one of the ${keys.size} identities: tls://IDENTITY@HOST:PORT`);
  const key = keys.get(chosen);
  if (!key) throw new Refused(`there is no key of ${chosen} in ${file.path}`);
  return { identity: chosen, key };
}
