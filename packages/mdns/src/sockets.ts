// The UDP sockets of multicast DNS: those that receive, joined to the groups on every link, and those that send by one link.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { codeOf, Failure } from '@dipus/proto/failure';
import type { NetworkLink } from './links.ts';

/** The port of multicast DNS (RFC 6762). */
export const mdnsPort = 5353;
export const groups = { udp4: '224.0.0.251', udp6: 'ff02::fb' } as const;
type Family = keyof typeof groups;

/** A socket that sends by one link. */
export interface Sending {
  readonly socket: Socket;
  /** Sends to the group, or to one address of its family; another family's is left to another socket. */
  send(bytes: Uint8Array, to: { address: string; port: number } | undefined): Promise<Error | null>;
}

/** One socket for each family that this machine has, bound to the port. Rejects with Failure where it has none. */
export async function openReceivers(): Promise<Socket[]> {
  const families = Object.keys(groups) as Family[];
  const tried = await Promise.allSettled(families.map((family) => bind(family, family === 'udp4' ? '0.0.0.0' : '::')));
  const sockets = tried.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  // A machine may do without one of the families, but not without both.
  if (sockets.length === 0) throw new Failure('bind', `UDP port ${mdnsPort}`, (tried[0] as PromiseRejectedResult).reason);
  return sockets;
}

/** Sockets that send by one link; those that cannot be had are left out. */
export async function openSenders({ device, ipv4, ipv6 }: NetworkLink): Promise<Sending[]> {
  const local = ipv6.find((address) => address.startsWith('fe80'));
  const wanted: [Family, string, string][] = [
    ...ipv4.slice(0, 1).map((address): [Family, string, string] => ['udp4', address, address]),
    ...(local === undefined ? [] : [['udp6', `${local}%${device}`, `::%${device}`] as [Family, string, string]]),
  ];
  const open: Sending[] = [];
  for (const [family, address, by] of wanted) {
    const socket = await bind(family, address).catch(() => undefined);
    if (!socket) continue;
    try {
      socket.setMulticastInterface(by);
      socket.setMulticastTTL(255);
    } catch {
      socket.close();
      continue;
    }
    open.push(sendingBy(socket, family));
  }
  return open;
}

function sendingBy(socket: Socket, family: Family): Sending {
  return {
    socket,
    send: (bytes, to) => {
      if (to && isIPv6(to.address) !== (family === 'udp6')) return Promise.resolve(null);
      // A link that is gone, or full, is no reason to tell anybody: what is lost here is asked for again.
      return new Promise((resolve) => socket.send(bytes, to?.port ?? mdnsPort, to?.address ?? groups[family], resolve));
    },
  };
}

/** Receives on a link what is sent to the groups; false where no family can. */
export function join(receivers: readonly Socket[], link: NetworkLink): boolean {
  return receivers.filter((socket) => changeMembership(socket, 'addMembership', link)).length > 0;
}

export function leave(receivers: readonly Socket[], link: NetworkLink): void {
  for (const socket of receivers) changeMembership(socket, 'dropMembership', link);
}

async function bind(type: Family, address: string): Promise<Socket> {
  const socket = createSocket({ type, reuseAddr: true, ipv6Only: type === 'udp6' });
  try {
    socket.bind(mdnsPort, address);
    await once(socket, 'listening');
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

function changeMembership(socket: Socket, change: 'addMembership' | 'dropMembership', { device, ipv4, ipv6 }: NetworkLink): boolean {
  const isIpv4 = socket.address().family === 'IPv4';
  const byIpv6 = ipv6.length > 0 ? `::%${device}` : undefined;
  const by = isIpv4 ? ipv4[0] : byIpv6;
  if (by === undefined) return false;
  try {
    socket[change](isIpv4 ? groups.udp4 : groups.udp6, by);
    return true;
  } catch (error) {
    // Joined already: a membership outlives the addresses of its device.
    return codeOf(error) === 'EADDRINUSE';
  }
}
