// Multicast DNS on every link of this machine, IPv4 and IPv6, by the sockets of mdns-js.
//
// mdns-js opens one socket that joins the group on one link only, throws where it cannot, and sends from ports that RFC 6762 wants
// ignored. Here sockets are opened as they have to be and handed to it: one for each family that receives, joined on every link; and one
// for each link and family that sends, from port 5353.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { codeOf, Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import Networking from 'mdns-js/lib/networking.js';
import { deviceOf, isOwnAddress, listLinks, type Link } from './links.ts';
import type { Packet } from './packet.ts';

const port = 5353;
const groups = { udp4: '224.0.0.251', udp6: 'ff02::fb' } as const;
type Family = keyof typeof groups;

/** Who sent a packet. */
export interface Sender {
  readonly address: string;
  /** The device of ours on whose network it is. */
  readonly device: string;
  readonly isOwn: boolean;
}

export interface NetworkEvents {
  packet(packet: Packet, sender: Sender): void;
  /** There is a link that was not there at the start, or has new addresses. */
  changed(): void;
  trouble(error: unknown): void;
}

export interface Network {
  readonly links: Iterable<Link>;
  /** Sends on each link what `packetFor` gives for it; resolves when the kernel has it. What does not fit a packet throws. */
  send(packetFor: (link: Link) => Packet): Promise<void>;
  /** Closes all sockets. */
  close(): Promise<void>;
}

interface OpenLink {
  readonly link: Link;
  readonly sending: Networking;
  readonly sockets: readonly Socket[];
}

/** Opens multicast DNS, and follows the links of this machine as they come and go. Rejects with a Failure where there is none. */
export async function openNetwork(events: NetworkEvents): Promise<Network> {
  const open = new Map<string, OpenLink>();
  const pending = new Set<Promise<void>>();
  const links = { [Symbol.iterator]: () => [...open.values()].map(({ link }) => link)[Symbol.iterator]() };
  // Nothing is told before the caller has the network.
  let isOpen = false;
  let isClosing = false;

  const onPackets = (packets: unknown[], remote: RemoteInfo): void => {
    const device = deviceOf(links, remote.address);
    if (!isOpen || device === undefined) return;
    for (const packet of packets as Packet[]) {
      // An answer from another port is none (RFC 6762 6), nor is anything with an opcode or error (18).
      if (packet.header.opcode !== 0 || packet.header.rcode !== 0 || (packet.header.qr === 1 && remote.port !== port)) continue;
      events.packet(packet, { address: remote.address, device, isOwn: isOwnAddress(links, remote.address) });
    }
  };
  const makeNetworking = (device: string): Networking => {
    const networking = new Networking({ networkInterface: device, INADDR_ANY: false });
    networking.on('packets', onPackets);
    // A socket that breaks is opened again with its link.
    networking.on('error', (error) => events.trouble(new Failure('receive', 'by multicast DNS', error)));
    return networking;
  };

  const receiving = makeNetworking('any');
  const receivers = await openReceivers(receiving);
  let turn = Promise.resolve();
  const followLinks = async (): Promise<void> => {
    const now = new Map(listLinks().map((link) => [link.key, link]));
    for (const [key, { sending, sockets, link }] of open) {
      if (now.has(key)) continue;
      open.delete(key);
      leave(receivers, link);
      await closeSockets(sending, sockets);
    }
    let isChanged = false;
    for (const [key, link] of now) {
      if (open.has(key) || isClosing) continue;
      const sending = makeNetworking(link.device);
      const sockets = join(receivers, link) ? await openSenders(sending, link, pending) : [];
      if (sockets.length === 0) continue;
      open.set(key, { link, sending, sockets });
      isChanged = true;
    }
    if (isChanged && isOpen) events.changed();
  };

  let look: NodeJS.Timeout | undefined;
  const network: Network = {
    links,
    send: async (packetFor) => {
      for (const { link, sending } of open.values()) sending.send(packetFor(link));
      await Promise.all(pending);
    },
    close: async () => {
      isOpen = false;
      isClosing = true;
      clearInterval(look);
      await turn;
      await Promise.all([...open.values()].map(({ sending, sockets }) => closeSockets(sending, sockets)));
      await closeSockets(receiving, receivers);
    },
  };
  await followLinks();
  if (open.size > 0) {
    isOpen = true;
    look = setInterval(() => void (turn = turn.then(followLinks).catch(events.trouble)), timing.linksMs);
    return network;
  }
  await network.close();
  throw new Failure('join', `multicast group ${groups.udp4}`, 'no network interface of this machine can multicast');
}

async function openReceivers(receiving: Networking): Promise<Socket[]> {
  const families = Object.keys(groups) as Family[];
  const tried = await Promise.allSettled(families.map((family) => bind(family, family === 'udp4' ? '0.0.0.0' : '::')));
  const sockets = tried.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  // A machine may do without one of the families, but not without both.
  if (sockets.length === 0) throw new Failure('bind', `UDP port ${port}`, (tried[0] as PromiseRejectedResult).reason);
  for (const socket of sockets) receiving.bindToAddress(undefined, 0, 'any', socket);
  return sockets;
}

/** Sockets that send on one link; those that cannot be had are left out. */
async function openSenders(sending: Networking, { device, ipv4, ipv6 }: Link, pending: Set<Promise<void>>): Promise<Socket[]> {
  const local = ipv6.find((address) => address.startsWith('fe80'));
  const wanted: [Family, string, string][] = [
    ...ipv4.slice(0, 1).map((address): [Family, string, string] => ['udp4', address, address]),
    ...(local === undefined ? [] : [['udp6', `${local}%${device}`, `::%${device}`] as [Family, string, string]]),
  ];
  const sockets: Socket[] = [];
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
    const send = (bytes: Uint8Array, done: (error: Error | null) => void): void => {
      const sent = new Promise<void>((resolve) => {
        // A link that is gone, or full, is no reason to tell anybody: what is lost here is asked for again.
        socket.send(bytes, port, groups[family], (error) => resolve(done(error)));
      }).finally(() => pending.delete(sent));
      pending.add(sent);
    };
    // mdns-js sends to the group of IPv4.
    sending.bindToAddress(undefined, 0, device, {
      address: () => socket.address(),
      on: (event, listener) => socket.on(event, listener),
      send: (bytes, from, length, _port, _group, done) => send(bytes.subarray(from, from + length), done),
      close: () => socket.close(),
      unref: () => {},
    });
    sockets.push(socket);
  }
  return sockets;
}

async function bind(type: Family, address: string): Promise<Socket> {
  const socket = createSocket({ type, reuseAddr: true, ipv6Only: type === 'udp6' });
  try {
    socket.bind(port, address);
    await once(socket, 'listening');
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** Receives on a link what is sent to the groups; false where no family can. */
function join(receivers: readonly Socket[], link: Link): boolean {
  return receivers.filter((socket) => changeMembership(socket, 'addMembership', link)).length > 0;
}

function leave(receivers: readonly Socket[], link: Link): void {
  for (const socket of receivers) changeMembership(socket, 'dropMembership', link);
}

function changeMembership(socket: Socket, change: 'addMembership' | 'dropMembership', { device, ipv4, ipv6 }: Link): boolean {
  const isIpv4 = socket.address().family === 'IPv4';
  const by = isIpv4 ? ipv4[0] : ipv6.length > 0 ? `::%${device}` : undefined;
  if (by === undefined) return false;
  try {
    socket[change](isIpv4 ? groups.udp4 : groups.udp6, by);
    return true;
  } catch (error) {
    // Joined already: a membership outlives the addresses of its device.
    return codeOf(error) === 'EADDRINUSE';
  }
}

async function closeSockets(networking: Networking, sockets: readonly Socket[]): Promise<void> {
  const closed = sockets.map((socket) => once(socket, 'close'));
  networking.stop();
  await Promise.all(closed);
}
