import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { UsageError } from '@dipus/cli/errors';
import { resolveAddresses, type ListenAddress } from '@dipus/ipc/listen';
import { codeOf, Failure } from '@dipus/proto/failure';
import { bracketed, isLoopback } from '@dipus/proto/ip-address';
import { sepPort } from '@dipus/proto/uri';
import type { Arguments } from './args.ts';
import type { Entrance } from './entrance.ts';

/** An address on which a server listens. */
export interface Listening {
  readonly server: Server;
  readonly uri: string;
  readonly address: string;
  readonly port: number;
  readonly isLoopback: boolean;
}

/** Opens what -l, --seps and --plain say, or what goes without saying. Throws UsageError and Failure; nothing is left open then. */
export async function listenAll(
  args: Arguments,
  entrance: Pick<Entrance, 'scheme' | 'server'>,
  explain: (message: string) => void,
): Promise<Listening[]> {
  const isOpen = args.isPlain || args.isSeps;
  const wanted = args.addresses.length > 0 ? await resolveAddresses(args.addresses) : defaults(isOpen);
  if (!isOpen) refuseBeyondLoopback(wanted);
  const open: Listening[] = [];
  try {
    for (const address of wanted) {
      const one = await listenOne(address, entrance.server(), args.addresses.length === 0 ? explain : undefined);
      if (one) open.push({ ...one, uri: `${entrance.scheme}://${one.uri}` });
    }
    if (open.length === 0) throw new Failure('listen on', 'loopback', 'there is no address');
    return open;
  } catch (error) {
    for (const { server } of open) server.close();
    throw error;
  }
}

function defaults(isOpen: boolean): ListenAddress[] {
  return (isOpen ? ['0.0.0.0', '::'] : ['127.0.0.1', '::1']).map((host) => ({ host, port: sepPort }));
}

function refuseBeyondLoopback(addresses: readonly ListenAddress[]): void {
  const beyond = addresses.find(({ host }) => !isLoopback(host));
  if (!beyond) return;
  throw new UsageError(
    `-l ${beyond.host} needs --seps, or --plain: SEP is neither encrypted nor authenticated`,
    'with --seps keys that are authorised may use what is in exported/, with --plain whoever reaches the port',
  );
}

/** `explain`: an address that this machine does not have is passed over. */
async function listenOne(
  { host, port }: ListenAddress,
  server: Server,
  explain?: (message: string) => void,
): Promise<Listening | undefined> {
  const name = bracketed(host);
  try {
    server.listen({ host, port, ipv6Only: true, backlog: 1024 });
    await once(server, 'listening');
  } catch (error) {
    const isMissing = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'].includes(codeOf(error) ?? '');
    if (!isMissing || !explain) throw new Failure('listen on', `${name}:${port}`, error);
    explain(`there is no address ${name} here`);
    return undefined;
  }
  const bound = (server.address() as AddressInfo).port;
  return { server, address: host, port: bound, uri: `${name}:${bound}`, isLoopback: isLoopback(host) };
}
