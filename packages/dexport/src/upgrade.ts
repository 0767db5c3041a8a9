// A connection that becomes a service's socket.
import { Socket } from 'node:net';
import { hasLibc } from '@dipus/descriptors/libc';
import { servicePath } from '@dipus/proto/name';
import { sepProtocol, sepVersion, versionHeader, type SocketKind } from '@dipus/proto/sep';
import { busy } from '@dipus/proto/session-error';
import { endpointOf, type Endpoint } from '@dipus/relay/endpoint';
import { relay } from '@dipus/relay/relay';
import { askInfo } from '@dipus/session/control-client';
import { ForeignSessions } from '@dipus/session/foreign';
import type { Exporter } from './exporter.ts';
import type { Client } from './connected-peer.ts';
import type { Offer } from './offers.ts';
import { PassedStream, readToken } from './passed-stream.ts';
import { notExported, Refusal } from './refusal.ts';
import type { UpgradeHead } from './upgrade-head.ts';
import type { UseResult } from './use-log.ts';
import { checkOneHost, checkOrigin, readTarget } from './target.ts';

const switchingLines = [
  'HTTP/1.1 101 Switching Protocols',
  'Connection: Upgrade',
  `Upgrade: ${sepProtocol}`,
  `${versionHeader}: ${sepVersion}`,
];
const switching = `${switchingLines.join('\r\n')}\r\n\r\n`;

/** Answers upgrades. */
export class Upgrades {
  readonly #exporter: Exporter;
  readonly #foreign: ForeignSessions<Offer>;
  readonly #direct = new WeakMap<Offer, Promise<boolean>>();

  constructor(exporter: Exporter) {
    this.#exporter = exporter;
    this.#foreign = new ForeignSessions({
      connect: async (offer) => ({ socket: await exporter.connect(offer, undefined), kind: 'unix' }),
      clientKind: 'tcp',
      refuse: () => (exporter.options.descriptors.isExceeded ? busy : undefined),
      mayHandOver: () => exporter.options.descriptors.hasRoom,
      track: (relayed) => exporter.streams.add(relayed),
    });
  }

  /** Takes the connection over, paused, at the first byte behind its request. Rejects with Refusal, before anything is written. */
  async upgrade(request: UpgradeHead, socket: Client): Promise<void> {
    checkOrigin(request);
    checkOneHost(request);
    if (request.method !== 'GET') throw new Refusal(400, 'only GET can be upgraded');
    if (isHttps(socket)) throw new Refusal(400, 'over HTTPS a lost connection looks like an end: POST, or speak sep/1');
    const kind = kindOf(request.headers['sep-socket']);
    const offer = await this.#offer(request.url ?? '', socket);
    this.#exporter.explain(socket, `opens ${servicePath(offer)}${kind ? `, ${kind}` : ''}`);
    const { rules } = this.#exporter.options;
    if (rules) await rules(socket, offer);
    if (socket.destroyed) return;
    this.#exporter.admit(socket, offer, kind ?? 'plain');
    const tellEnd = this.#exporter.use(socket, offer, kind ?? 'plain');
    if (kind !== undefined && !offer.hasControl) {
      // Its sessions begin before it is connected to: an answer to INFO alone never is.
      if (!(await offer.mayOpen())) throw new Refusal(403, `${servicePath(offer)}: permission denied`);
      socket.once('close', () => tellEnd({ result: 'closed' }));
      socket.write(switching);
      return this.#foreign.serve(offer, socket);
    }
    if (kind === 'data' && socket instanceof Socket && (await this.#isDirect(offer))) return this.#pass(socket, offer, tellEnd);
    const service = await this.#exporter.connectRelayed(offer, kind);
    if (socket.destroyed) return void service.destroy();
    this.#relay(socket, service, { kind, tellEnd });
    // In this turn: before any answer can come, and behind what has come for the service, which can begin with it.
    process.nextTick(() => socket.write(switching));
  }

  /** Whether a service takes connections themselves, which is asked once. */
  #isDirect(offer: Offer): Promise<boolean> {
    const known = this.#direct.get(offer);
    if (known) return known;
    const asked = askInfo(() => this.#exporter.connect(offer, 'control'))
      .catch(() => undefined)
      .then((info) => {
        // One that has not answered now may later.
        if (!info) this.#direct.delete(offer);
        return info?.direct === true && hasLibc();
      });
    this.#direct.set(offer, asked);
    return asked;
  }

  /** Gives the service the connection itself, where what it begins with is what it has to be. */
  async #pass(socket: Socket, offer: Offer, tellEnd: (result: UseResult) => void): Promise<void> {
    const { streams } = this.#exporter;
    const carrier = await this.#exporter.connect(offer, 'data');
    if (socket.destroyed) return void carrier.destroy();
    socket.write(switching);
    const token = await readToken(socket);
    if (token === undefined) return this.#relay(socket, carrier, { kind: 'data', tellEnd });
    const passed = new PassedStream(socket, carrier, token);
    streams.sessions.add(token, passed);
    streams.add(passed);
    void passed.ended.then((result) => tellEnd({ result }));
  }

  #relay(socket: Client, service: Socket, { kind, tellEnd }: { kind: SocketKind | undefined; tellEnd: (result: UseResult) => void }): void {
    const a = endpointOf(socket);
    const b: Endpoint = { socket: service, kind: 'unix' };
    let isCounted = true;
    const options = {
      mayHandOver: () => {
        const { hasRoom } = this.#exporter.options.descriptors;
        // What other processes copy is not seen here.
        if (hasRoom) isCounted = false;
        return hasRoom;
      },
    };
    const started = kind === undefined ? relay(a, b, options) : this.#exporter.streams.sessions.relay(a, b, options);
    this.#exporter.streams.add(started);
    void started.ended.then((result) => tellEnd({ result, ...(isCounted && { in: service.bytesWritten, out: service.bytesRead }) }));
  }

  async #offer(raw: string, client: Client): Promise<Offer> {
    const { ask, isWatch } = readTarget(raw);
    const view = await this.#exporter.viewOf(client);
    const offer = isWatch ? undefined : view.find(ask.segments.join('/'));
    if (!offer) throw notExported();
    return offer;
  }
}

function isHttps(client: Client & { readonly encrypted?: boolean }): boolean {
  return client.encrypted === true;
}

function kindOf(header: string | string[] | undefined): SocketKind | undefined {
  if (header === undefined || header === 'control' || header === 'data') return header;
  throw new Refusal(400, 'Sep-Socket is control or data');
}
