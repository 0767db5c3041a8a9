// A port of this host that is open for one link, where no exporter listens for it. It answers an upgrade as an exporter does (sep(5)), so
// that whoever calls speaks with nothing but SEP.
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { bracketed } from '@dipus/proto/ip-address';
import { sepProtocol, sepVersion, versionHeader } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import type { LinkPort } from '@dipus/session/stage-links';

/** The first and the last port that may be used. */
export type PortRange = readonly [first: number, last: number];

const maxHeadBytes = 8192;
const maxConnections = 64;
const switching = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', `Upgrade: ${sepProtocol}`, `${versionHeader}: ${sepVersion}`];

/** Listens at a port of this range, any unless given, and hands over what has asked for an upgrade. Rejects where no port can be had. */
export async function openLinkPort(take: (connection: Socket) => void, range: PortRange = [0, 0]): Promise<LinkPort> {
  const server = createServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: timing.keepAliveMs },
    (socket) => awaitUpgrade(socket, take),
  );
  server.maxConnections = maxConnections;
  const port = await listen(server, range);
  return {
    addresses: ownAddresses().map((address) => `${bracketed(address)}:${port}`),
    close: () => server.close(),
  };
}

async function listen(server: Server, [first, last]: PortRange): Promise<number> {
  const count = last - first + 1;
  const begin = Math.floor(Math.random() * count);
  for (let at = 0; ; at++) {
    try {
      server.listen({ port: first + ((begin + at) % count), host: '::' });
      await once(server, 'listening');
      return (server.address() as AddressInfo).port;
    } catch (error) {
      if (at === count - 1) throw error;
    }
  }
}

/** As other hosts may reach this one. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const usable = all.filter(({ address }) => !address.startsWith('fe80:'));
  const outer = usable.filter(({ internal }) => !internal);
  return (outer.length > 0 ? outer : usable).map(({ address }) => address);
}

function awaitUpgrade(socket: Socket, take: (connection: Socket) => void): void {
  let head = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timing.headMs);
  const read = (chunk: Buffer): void => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0 && head.length <= maxHeadBytes) return;
    socket.off('data', read).off('end', leave);
    clearTimeout(timer);
    const isUpgrade = /^GET [^]*\r\nUpgrade: sep\r\n/i.test(head.toString('latin1', 0, end + 2));
    if (end < 0 || !isUpgrade) return void socket.destroy();
    socket.write(`${switching.join('\r\n')}\r\n\r\n`);
    socket.pause();
    if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
    take(socket);
  };
  const leave = (): void => void socket.destroy();
  socket
    .on('error', () => {})
    .on('data', read)
    .on('end', leave)
    .on('close', () => clearTimeout(timer));
}
