// Multicast DNS on the links of this machine, IPv4 and IPv6, by the sockets of mdns-js.
//
// mdns-js opens one socket that joins the group on one link only, throws where it cannot, and sends from ports that RFC 6762 wants
// ignored. Here sockets are opened as they have to be and handed to it: one for each family that receives, joined on every link; and one
// for each link and family that sends, from port 5353.
import type { RemoteInfo, Socket } from 'node:dgram';
import { once } from 'node:events';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import Networking from 'mdns-js/lib/networking.js';
import { deviceOf, isOwnAddress, listLinks, type NetworkLink } from './links.ts';
import { withTrueLives, type Packet } from './packet.ts';
import { groups, join, leave, mdnsPort, openReceivers, openSenders, type Sending } from './sockets.ts';

/** The sender of a packet. */
export interface Sender {
  readonly address: string;
  /** Another one than 5353 belongs to a resolver that knows nothing of multicast: it is answered by unicast (RFC 6762 6.7). */
  readonly port: number;
  /** The device of ours on whose network it is. */
  readonly device: string;
  readonly isOwn: boolean;
}

export interface NetworkEvents {
  packet(packet: Packet, sender: Sender): void;
  /** There is a link that was not there at the start, or has new addresses. */
  changed(): void;
  trouble(error: unknown): void;
  /** Whether a link is of interest; all are unless given. */
  isWanted?(link: NetworkLink): boolean;
}

export interface Network {
  readonly links: Iterable<NetworkLink>;
  /** Sends on each link what `packetFor` gives for it; resolves when the kernel has it. What does not fit a packet throws. */
  send(packetFor: (link: NetworkLink) => Packet): Promise<void>;
  /** Sends by unicast to whoever sent something; resolves when the kernel has it. */
  reply(sender: Sender, packetFor: (link: NetworkLink) => Packet): Promise<void>;
  /** Closes all sockets. */
  close(): Promise<void>;
}

/** Opens multicast DNS, and follows the links of this machine as they come and go. Rejects with a Failure where there is none. */
export async function openNetwork(events: NetworkEvents): Promise<Network> {
  const network = new LinkedNetwork(events);
  await network.begin();
  return network;
}

class LinkedNetwork implements Network {
  readonly #events: NetworkEvents;
  readonly #open = new Map<string, OpenLink>();
  readonly #pending = new Set<Promise<unknown>>();
  readonly #receiving: Networking;
  #receivers: readonly Socket[] = [];
  #turn: Promise<void> = Promise.resolve();
  #look: NodeJS.Timeout | undefined;
  // Nothing is told before the caller has the network.
  #state: 'new' | 'open' | 'closing' = 'new';

  constructor(events: NetworkEvents) {
    this.#events = events;
    this.#receiving = this.#networkingOf('any');
  }

  get links(): NetworkLink[] {
    return [...this.#open.values()].map(({ link }) => link);
  }

  async begin(): Promise<void> {
    this.#receivers = await openReceivers();
    for (const socket of this.#receivers) this.#receiving.bindToAddress(undefined, 0, 'any', socket);
    await this.#followLinks();
    if (this.#open.size === 0) {
      await this.close();
      throw new Failure('join', `multicast group ${groups.udp4}`, 'no network interface of this machine can multicast');
    }
    this.#state = 'open';
    const again = (): void => void (this.#turn = this.#turn.then(() => this.#followLinks()).catch(this.#events.trouble));
    this.#look = setInterval(again, timing.linksMs);
  }

  async send(packetFor: (link: NetworkLink) => Packet): Promise<void> {
    for (const open of this.#open.values()) open.send(packetFor(open.link));
    await Promise.all(this.#pending);
  }

  async reply(sender: Sender, packetFor: (link: NetworkLink) => Packet): Promise<void> {
    for (const open of this.#open.values()) if (open.link.device === sender.device) open.send(packetFor(open.link), sender);
    await Promise.all(this.#pending);
  }

  async close(): Promise<void> {
    this.#state = 'closing';
    clearInterval(this.#look);
    await this.#turn;
    await Promise.all([...this.#open.values()].map((open) => open.close()));
    await closeSockets(this.#receiving, this.#receivers);
  }

  #networkingOf(device: string): Networking {
    const networking = new Networking({ networkInterface: device, INADDR_ANY: false });
    networking.on('packets', (packets, remote) => this.#receive(packets as Packet[], remote));
    // A socket that breaks is opened again with its link.
    networking.on('error', (error) => this.#events.trouble(new Failure('receive', 'by multicast DNS', error)));
    return networking;
  }

  #receive(packets: readonly Packet[], { address, port }: RemoteInfo): void {
    const links = this.links;
    const device = deviceOf(links, address);
    if (this.#state !== 'open' || device === undefined) return;
    for (const packet of packets) {
      // An answer from another port is none (RFC 6762 6), nor is anything with an opcode or error (18).
      if (packet.header.opcode !== 0 || packet.header.rcode !== 0 || (packet.header.qr === 1 && port !== mdnsPort)) continue;
      this.#events.packet(withTrueLives(packet), { address, port, device, isOwn: isOwnAddress(links, address) });
    }
  }

  async #followLinks(): Promise<void> {
    const { isWanted = () => true } = this.#events;
    const now = new Map(
      listLinks()
        .filter(isWanted)
        .map((link) => [link.key, link]),
    );
    for (const [key, open] of this.#open) {
      if (now.has(key)) continue;
      this.#open.delete(key);
      leave(this.#receivers, open.link);
      await open.close();
    }
    let isChanged = false;
    for (const [key, link] of now) {
      if (this.#open.has(key) || this.#state === 'closing' || !join(this.#receivers, link)) continue;
      const senders = await openSenders(link);
      if (senders.length === 0) continue;
      this.#open.set(key, new OpenLink(link, this.#networkingOf(link.device), { senders, pending: this.#pending }));
      isChanged = true;
    }
    if (isChanged && this.#state === 'open') this.#events.changed();
  }
}

/** A link, and the sockets that send by it. */
class OpenLink {
  readonly link: NetworkLink;
  readonly #networking: Networking;
  readonly #senders: readonly Sending[];
  // mdns-js knows only the group of IPv4: where a packet goes is said beside it.
  #to: { address: string; port: number } | undefined;

  /** Each packet that is on its way is in `pending`. */
  constructor(
    link: NetworkLink,
    networking: Networking,
    { senders, pending }: { senders: readonly Sending[]; pending: Set<Promise<unknown>> },
  ) {
    this.link = link;
    this.#networking = networking;
    this.#senders = senders;
    for (const { socket, send } of senders) {
      networking.bindToAddress(undefined, 0, link.device, {
        address: () => socket.address(),
        on: (event, listener) => socket.on(event, listener),
        send: (...[bytes, from, length, _port, _group, done]) => {
          const sent = send(bytes.subarray(from, from + length), this.#to).then(done);
          pending.add(sent);
          void sent.finally(() => pending.delete(sent));
        },
        close: () => socket.close(),
        unref: () => {},
      });
    }
  }

  /** To the groups, or to one address. Throws where it does not fit a packet. */
  send(packet: Packet, to?: { address: string; port: number }): void {
    this.#to = to;
    try {
      this.#networking.send(packet);
    } finally {
      this.#to = undefined;
    }
  }

  close(): Promise<void> {
    return closeSockets(
      this.#networking,
      this.#senders.map(({ socket }) => socket),
    );
  }
}

async function closeSockets(networking: Networking, sockets: readonly Socket[]): Promise<void> {
  const closed = sockets.map((socket) => once(socket, 'close'));
  networking.stop();
  await Promise.all(closed);
}
