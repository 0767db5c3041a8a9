// A host with an exporter that speaks TLS: all that goes to it are channels of one connection.
import type { LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { servicePath } from '@dipus/proto/name';
import type { Pin } from '@dipus/proto/pin';
import type { Dialled, RemoteEvents, RemoteHost, RemoteQuery, RemoteService, WatchResult } from '@dipus/proto/remote';
import { targetOf, type SocketKind } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import type { HostPort, HostUri } from '@dipus/proto/uri';
import { formatAddress, hostAndPort, type ExporterAddress } from '@dipus/sep/address';
import { listServices } from '@dipus/sep/list';
import { dialService, dialServiceEarly } from '@dipus/sep/request';
import { watchServices } from '@dipus/sep/watch';
import type { Channel } from '@dipus/seps/channel';
import type { Channels } from '@dipus/seps/channels';
import type { ConfigFolder } from '@dipus/seps/config-folder';
import { dial, isDenial } from '@dipus/seps/dial';
import { loadIdentity, type Identity } from '@dipus/seps/identity';
import { watchKnownPeers } from '@dipus/seps/known-peers';
import { notAuthorized, trustExporter, type KeyPrompter, type TrustOptions } from '@dipus/seps/trust-exporter';

export interface SepsHostOptions {
  /** Where this user's key and known_peers are. */
  readonly folder: ConfigFolder;
  /** What an exporter that does not know the key may call it. */
  readonly name: string;
  readonly lookup: LookupFunction;
  /** It stands in a list that others may write: whatever its name is, it is the host that known_peers names for its key, or none. */
  readonly isFromList: boolean;
  /** Which key mDNS announces for it. */
  announced(target: HostPort): Promise<Pin | undefined>;
  /** The person at the terminal. */
  prompter(): KeyPrompter | undefined;
  /** Told of what is wrong with known_peers. */
  warn(fault: Failure): void;
  /** Ends a connecting. */
  readonly stop: AbortSignal;
}

const maxChannels = 1024;

/** Connects when it is first needed, and again after a loss; the loss breaks what goes over it. close() ends the connection. */
export class SepsHost implements RemoteHost {
  readonly printed: string;
  readonly hasExporter = true;
  readonly #address: ExporterAddress;
  readonly #options: SepsHostOptions;
  readonly #closed = new AbortController();
  readonly #declined = new Set<Pin>();
  readonly #warned = new Set<string>();
  #connection: Promise<Channels> | undefined;
  #peer: Pin | undefined;
  #host: string;

  constructor(uri: HostUri, options: SepsHostOptions) {
    const connect = (): Promise<Channel> => this.#open();
    this.#address = { scheme: 'seps', ...hostAndPort(uri), connect, closed: this.#closed.signal };
    this.#options = options;
    this.#host = uri.host;
    this.printed = formatAddress(this.#address);
  }

  get peer(): Pin | undefined {
    return this.#peer;
  }

  get host(): string {
    return this.#host;
  }

  pathOf(service: RemoteService): string {
    return servicePath(service);
  }

  uriOf(service: RemoteService): string {
    return `${this.printed}${targetOf(service)}`;
  }

  list({ ask }: RemoteQuery): Promise<RemoteService[]> {
    return listServices(this.#address, ask);
  }

  async watch({ ask }: RemoteQuery, events: RemoteEvents, stop: AbortSignal): Promise<WatchResult | undefined> {
    const result = await watchServices(this.#address, ask, { events, stop });
    // The next one would wait in vain for the same connection.
    if (result?.isSilent) await this.#connection?.then((channels) => channels.break('silence'));
    return result;
  }

  dial(service: RemoteService, kind: SocketKind | undefined): Promise<Duplex> {
    return dialService(this.#address, service, kind);
  }

  dialEarly(service: RemoteService, kind: SocketKind | undefined): Promise<Dialled> {
    return dialServiceEarly(this.#address, service, kind);
  }

  /** Ends the connection when what goes over it has been closed, or has had time to be. */
  close(): void {
    this.#closed.abort();
    void this.#connection?.then(part, () => {});
  }

  async #open(): Promise<Channel> {
    const isNew = this.#connection === undefined;
    this.#connection ??= this.#connect();
    const connection = this.#connection;
    try {
      const channels = await connection;
      if (isNew || channels.isOpen) return channels.open();
    } catch (error) {
      this.#forget(connection);
      throw error instanceof Failure ? error : new Failure('connect to', this.printed, error);
    }
    // It was lost, or has said goodbye.
    this.#forget(connection);
    return this.#open();
  }

  #forget(connection: Promise<Channels>): void {
    if (this.#connection === connection) this.#connection = undefined;
  }

  async #connect(): Promise<Channels> {
    const { folder, name } = this.#options;
    const identity = loadIdentity(folder);
    try {
      const channels = await this.#dial(identity);
      void this.#follow(channels);
      return channels;
    } catch (error) {
      throw isDenial(error) ? notAuthorized(this.#address, { pin: identity.pin, name }) : error;
    }
  }

  #dial(identity: Identity): Promise<Channels> {
    const { lookup, stop } = this.#options;
    const { host, port } = this.#address;
    const signal = AbortSignal.any([stop, this.#closed.signal]);
    return dial({
      host,
      port,
      lookup,
      identity,
      stop: signal,
      judge: async (pin) => {
        const prompter = (): KeyPrompter | undefined => this.#prompterFor(pin);
        this.#host = await trustExporter({ host, port }, pin, this.#trustOptions(prompter, signal));
        this.#peer = pin;
        return { pin, name: host, max: maxChannels };
      },
    });
  }

  #trustOptions(prompter: () => KeyPrompter | undefined, stop: AbortSignal): TrustOptions {
    const { folder, isFromList } = this.#options;
    return {
      folder,
      isFromList,
      prompter,
      announced: (target) => this.#options.announced(target),
      warn: (fault) => this.#warn(fault),
      stop,
    };
  }

  /** Breaks a connection when its key is not to be trusted any more. */
  async #follow(channels: Channels): Promise<void> {
    const pin = this.#peer!;
    const look = (): Promise<string> =>
      trustExporter(
        this.#address,
        pin,
        this.#trustOptions(() => undefined, this.#options.stop),
      );
    // The yes of a person that could not be remembered counts for the connection.
    const isRemembered = await look().then(
      () => true,
      () => false,
    );
    if (!isRemembered) return;
    let settling: NodeJS.Timeout | undefined;
    const lookAgain = (): void => void look().catch((error: unknown) => channels.break(reasonOf(error)));
    const unwatch = watchKnownPeers(this.#options.folder, () => {
      clearTimeout(settling);
      settling = setTimeout(lookAgain, timing.settleMs).unref();
    });
    const rescan = setInterval(lookAgain, timing.rescanMs).unref();
    await channels.ended;
    unwatch();
    clearTimeout(settling);
    clearInterval(rescan);
  }

  /** A no holds: nobody is asked again at each attempt. */
  #prompterFor(pin: Pin): KeyPrompter | undefined {
    const person = this.#declined.has(pin) ? undefined : this.#options.prompter();
    return (
      person && {
        tell: (line) => person.tell(line),
        confirm: async (question, stop) => {
          const isYes = await person.confirm(question, stop);
          if (!isYes) this.#declined.add(pin);
          return isYes;
        },
      }
    );
  }

  /** At each attempt known_peers is read again. */
  #warn(fault: Failure): void {
    if (this.#warned.has(fault.message)) return;
    this.#warned.add(fault.message);
    this.#options.warn(fault);
  }
}

function part(channels: Channels): void {
  channels.goodbye('done');
  setTimeout(() => channels.close('broken', 'the other side has ended'), timing.partingMs).unref();
}
