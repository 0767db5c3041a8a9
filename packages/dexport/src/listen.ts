import { once } from 'node:events';
import { lookup } from 'node:dns/promises';
import { isIP, type AddressInfo, type Server } from 'node:net';
import { UsageError } from '@dipus/cli/errors';
import { codeOf, Failure } from '@dipus/proto/failure';
import { bracketed } from '@dipus/proto/ip-address';
import { sepPort } from '@dipus/proto/uri';
import type { Address, Arguments } from './args.ts';
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
  const wanted = args.addresses.length > 0 ? await resolveAll(args.addresses) : defaults(isOpen);
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

function defaults(isOpen: boolean): Address[] {
  return (isOpen ? ['0.0.0.0', '::'] : ['127.0.0.1', '::1']).map((address) => ({ address, port: sepPort }));
}

async function resolveAll(addresses: readonly Address[]): Promise<Address[]> {
  const resolved = addresses.map(async ({ address, port }) => {
    if (isIP(address.split('%')[0]!)) return { address, port };
    try {
      return { address: (await lookup(address)).address, port };
    } catch (error) {
      throw new Failure('listen on', address, error);
    }
  });
  return Promise.all(resolved);
}

function refuseBeyondLoopback(addresses: readonly Address[]): void {
  const beyond = addresses.find(({ address }) => !isLoopback(address));
  if (!beyond) return;
  throw new UsageError(
    `-l ${beyond.address} needs --seps, or --plain: SEP is neither encrypted nor authenticated`,
    'with --seps keys that are authorised may use what is in exported/, with --plain whoever reaches the port',
  );
}

/** `explain`: an address that this machine does not have is passed over. */
async function listenOne({ address, port }: Address, server: Server, explain?: (message: string) => void): Promise<Listening | undefined> {
  const name = bracketed(address);
  try {
    server.listen({ host: address, port, ipv6Only: true, backlog: 1024 });
    await once(server, 'listening');
  } catch (error) {
    const isMissing = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'].includes(codeOf(error) ?? '');
    if (!isMissing || !explain) throw new Failure('listen on', `${name}:${port}`, error);
    explain(`there is no address ${name} here`);
    return undefined;
  }
  const bound = (server.address() as AddressInfo).port;
  return { server, address, port: bound, uri: `${name}:${bound}`, isLoopback: isLoopback(address) };
}

/** Whether nobody but this host reaches an address. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || /^::ffff:127\./i.test(address);
}
