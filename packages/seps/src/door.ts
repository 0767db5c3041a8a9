// A port that speaks TLS: everybody is judged by their key before anything else is touched.
import { constants } from 'node:crypto';
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { codeOf } from '@dipus/proto/failure';
import type { Pin } from '@dipus/proto/pin';
import { timing } from '@dipus/proto/timing';
import { Admission } from './admission.ts';
import { DoorLog, type DoorTelling } from './door-log.ts';
import { channelGuest, httpsGuest, type GuestEvents } from './guest.ts';
import { Guests } from './guests.ts';
import type { ProvenPeer } from './proven-peer.ts';
import { notAuthorisedHere, tooManyConnections, withoutKey } from './refusals.ts';
import { refuse, tellPlain } from './refusing.ts';
import { protocolName, shownPin, type KeyPair } from './secured.ts';
import { firstByte, receive, type Visitor } from './visitor.ts';

const tlsHandshake = 0x16;
const maxPairings = 8;

/** Why a key may not come in, for the log; `name` where it has one. */
export interface Refused {
  readonly refusal: string;
  readonly name?: string;
}

export interface DoorOptions<P extends ProvenPeer> extends DoorTelling, GuestEvents<P> {
  readonly identity: KeyPair;
  /** How many judged connections there may be. */
  readonly maxConnections: number;
  /** Who this key is, coming from this address. Asked at each connection, and by `review`. */
  readonly judge: (pin: Pin, address: string) => P | Refused;
  /** HTTP without TLS; the callee's from now on. Where nobody takes it, it is answered by a sentence. */
  readonly plain?: (socket: Socket) => void;
  /** A pairing; the key is not judged. The callee's, but closed when it takes too long. */
  readonly pair: (socket: TLSSocket, from: { readonly pin: Pin; readonly address: string }) => void;
}

/** Lets in whom `judge` knows, within limits that keep the door open for others (dexport(1), SECURITY CONSIDERATIONS). */
export class Door<P extends ProvenPeer> {
  readonly #options: DoorOptions<P>;
  readonly #admission = new Admission<Visitor>();
  readonly #guests: Guests<P>;
  readonly #log: DoorLog;
  readonly #tls: TlsServer;
  /** By the address and port of the other side. */
  readonly #visitors = new Map<string, Visitor>();
  readonly #pairings = new Set<Socket>();

  constructor(options: DoorOptions<P>) {
    this.#options = options;
    this.#guests = new Guests(options.maxConnections);
    this.#log = new DoorLog(options);
    this.#tls = createTlsServer({
      key: options.identity.key,
      cert: options.identity.cert,
      minVersion: 'TLSv1.3',
      requestCert: true,
      // The pin is what is judged.
      rejectUnauthorized: false,
      ALPNProtocols: Object.values(protocolName),
      allowHalfOpen: true,
      // Nothing is resumed: with channels there is no need to.
      secureOptions: constants.SSL_OP_NO_TICKET,
    });
    this.#tls
      .on('secureConnection', (socket) => this.#secured(socket))
      .on('tlsClientError', (error, socket) => this.#failed(error, socket));
  }

  /** A server whose connections come to this door; the caller listens with it, and closes it. */
  server(): TcpServer {
    return createTcpServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: timing.keepAliveMs }, (raw) =>
      this.#accept(raw),
    );
  }

  /** How many judged connections there are. */
  get size(): number {
    return this.#guests.all.length;
  }

  /** Judges all connections again: those of keys that are not authorised any more break, channels with the reason `revoked`. */
  review(): void {
    for (const guest of this.#guests.all) {
      const { peer, address } = guest;
      const judgement = this.#options.judge(peer.pin, address);
      if (!('refusal' in judgement)) guest.keep(judgement);
      else {
        this.#log.warn(`${peer.name} (${address}): its connection is broken: ${judgement.refusal}`);
        guest.revoke();
      }
    }
  }

  /** Who is authorised has changed: whoever had to wait for that may try again. */
  forgive(): void {
    this.#admission.forgive();
  }

  /** Takes no more channels; each connection closes when its last one has ended. */
  goodbye(text: string): void {
    for (const guest of this.#guests.all) guest.goodbye(text);
  }

  /** Resolves when the judged connections that there are now are closed. */
  async ended(): Promise<void> {
    await Promise.all(this.#guests.all.map((guest) => guest.ended));
  }

  /** Breaks all connections, judged or not. */
  close(text: string): void {
    for (const raw of [...[...this.#visitors.values()].map((visitor) => visitor.raw), ...this.#pairings]) raw.destroy();
    for (const guest of this.#guests.all) guest.break(text);
  }

  #accept(raw: Socket): void {
    const { remoteAddress: address, remotePort } = raw;
    if (address === undefined) return void raw.destroy();
    const key = `${address} ${remotePort}`;
    const visitor = receive(raw, address, () => {
      this.#visitors.delete(key);
      this.#admission.leave(visitor);
    });
    const tooMany = this.#admission.enter(visitor);
    if (tooMany) this.#close(tooMany.one, tooMany.why);
    if (tooMany?.one === visitor) return;
    this.#visitors.set(key, visitor);
    firstByte(raw, (byte) => this.#begin(visitor, byte));
  }

  #close({ raw, address }: Visitor, why: string): void {
    this.#log.warnOf(address, `closed ${address}: ${why}`);
    raw.destroy();
  }

  #begin(visitor: Visitor, byte: number): void {
    const { raw, address } = visitor;
    if (!this.#admission.mayShakeHands(address)) return this.#close(visitor, 'too many connections a second');
    if (byte === tlsHandshake) return void this.#tls.emit('connection', raw);
    if (!isLetter(byte)) return this.#garbage(visitor, 'it sent neither TLS nor HTTP');
    if (!this.#options.plain) {
      this.#log.explain(`refused ${address}: it speaks no TLS`);
      return tellPlain(raw);
    }
    visitor.judged();
    this.#options.plain(raw);
  }

  #failed(error: Error, socket: TLSSocket): void {
    const visitor = this.#visitorOf(socket);
    // Whoever goes in the middle is no danger.
    if (visitor && codeOf(error) !== 'ECONNRESET') this.#garbage(visitor, `its handshake failed: ${codeOf(error) ?? error.message}`);
  }

  #garbage(visitor: Visitor, why: string): void {
    this.#admission.failed(visitor.address);
    // An alert may be on its way.
    setImmediate(() => this.#close(visitor, why));
  }

  #visitorOf({ remoteAddress, remotePort }: TLSSocket): Visitor | undefined {
    return this.#visitors.get(`${remoteAddress} ${remotePort}`);
  }

  #secured(socket: TLSSocket): void {
    const visitor = this.#visitorOf(socket);
    socket.on('error', () => {});
    if (!visitor) return void socket.destroy();
    const pin = shownPin(socket);
    if (socket.alpnProtocol === protocolName.pairing) return this.#pair(visitor, socket, pin);
    if (pin === undefined) {
      this.#log.explain(`refused ${visitor.address}: it shows no key`);
      return this.#refuse(visitor, socket, withoutKey);
    }
    const judgement = this.#options.judge(pin, visitor.address);
    if (!('refusal' in judgement)) return this.#welcome(visitor, socket, judgement);
    this.#logRefusal(visitor, pin, judgement);
    this.#refuse(visitor, socket, notAuthorisedHere(pin));
  }

  #logRefusal({ address }: Visitor, pin: Pin, { name, refusal }: Refused): void {
    const line = `refused ${name ?? pin} (${address}): ${refusal}`;
    if (name === undefined) this.#log.warnOf(address, line);
    else this.#log.warn(line);
  }

  /** What is refused counts as not judged until it is closed. */
  #refuse({ raw, address }: Visitor, socket: TLSSocket, text: string): void {
    this.#admission.failed(address);
    refuse({ raw, socket, status: 403, text });
  }

  #pair(visitor: Visitor, socket: TLSSocket, pin: Pin | undefined): void {
    if (pin === undefined || this.#pairings.size >= maxPairings) return void socket.destroy();
    const { raw, address } = visitor;
    this.#pairings.add(raw);
    visitor.judged();
    const timer = setTimeout(() => raw.destroy(), timing.headMs);
    raw.once('close', () => {
      clearTimeout(timer);
      this.#pairings.delete(raw);
    });
    this.#options.pair(socket, { pin, address });
  }

  #welcome(visitor: Visitor, socket: TLSSocket, peer: P): void {
    const { raw, address } = visitor;
    if (!this.#guests.hasRoom(peer.pin)) {
      this.#log.warn(`refused ${peer.name} (${address}): too many connections`);
      return refuse({ raw, socket, status: 503, text: tooManyConnections });
    }
    this.#admission.succeeded(address);
    visitor.judged();
    this.#log.explain(`${peer.name} (${address}): connects`);
    const isHttp = socket.alpnProtocol !== protocolName.channels;
    const make = isHttp ? httpsGuest : channelGuest;
    const guest = make({ raw, socket, address, peer }, { ...this.#options, mayOpen: (pin) => this.#guests.mayOpen(pin) });
    const leave = this.#guests.enter(guest);
    void guest.ended.then((why) => {
      leave();
      this.#log.explain(`${peer.name} (${address}): its connection has ended: ${why}`);
    });
  }
}

function isLetter(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}
