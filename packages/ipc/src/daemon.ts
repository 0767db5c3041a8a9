// Being a protocol daemon: a service named like its scheme, which opens URIs for others (ipc(5), Daemons).
import type { Socket } from 'node:net';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { encodeIpcFrame, headBytes, maxAskBytes, payloadBytes, type Era } from '@dipus/proto/ipc-frame';
import { printable } from '@dipus/proto/printable';
import { timing } from '@dipus/proto/timing';
import type { Endpoint } from '@dipus/relay/endpoint';
import { relay } from '@dipus/relay/relay';
import { runSession } from '@dipus/session/foreign';
import { OpenStreams } from '@dipus/session/open-streams';
import type { Session } from '@dipus/session/session';
import type { Tree } from '@dipus/tree/root';
import { isExpected, maxAnswerBytes, readExactly, Refused } from './answer.ts';
import type { Framing } from './ask-daemon.ts';
import { framed } from './framed.ts';
import { keepInfoService } from './info-service.ts';
import { keepRundirSocket, trustedRundir, type Rundir, type RundirTenant } from './rundir.ts';

export interface DaemonOptions {
  /** Of the URIs that it opens, and its names; the first is the one that it is spoken of by. */
  readonly schemes: readonly [string, ...string[]];
  /** This host's name in service names. */
  readonly host: string;
  /** How many connections it has at a time. */
  readonly max: number;
  /** Where it has sockets for an original ipcd too, as far as the directories are there. */
  readonly rundirs: readonly Rundir[];
  readonly stop: AbortSignal;
  /** Its relays are added to these; to some of its own unless given. */
  readonly streams?: OpenStreams;
  /**
   * Opens a URI of its schemes: connected and not read yet; the daemon relays and closes it. One whose chunks are whole messages of the
   * framing already is in object mode. Rejects with Failure, Refused, UriError or the system's error, which are told to whoever has asked.
   * `left` aborts when nobody waits for it any more.
   */
  open(uri: string, left: AbortSignal, framing: Framing): Promise<Endpoint>;
  warn(error: unknown): void;
  explain(line: string): void;
}

export interface RunningDaemon {
  /** The path of its service, the first of its names. */
  readonly path: string;
  /** Takes its names away; open connections live on. Once is enough. */
  withdraw(): void;
  /** Takes its names away and ends its connections. */
  release(): void;
}

/** One of its names, and how it is spoken to by that. */
interface DaemonName {
  readonly scheme: string;
  readonly protocol: string;
  readonly era: Era;
  readonly framing: Framing;
}

const names: readonly Omit<DaemonName, 'scheme'>[] = [
  { protocol: 'ipc', era: 'zig', framing: 'zig' },
  { protocol: 'ipc/c', era: 'c', framing: 'c' },
  { protocol: 'uri', era: 'zig', framing: 'bytes' },
];

/** Serves until it is released. A rundir that cannot be used is explained and left out. Throws Failure. */
export async function serveDaemon(tree: Tree, options: DaemonOptions): Promise<RunningDaemon> {
  const { schemes, host, max, stop, warn, explain, rundirs } = options;
  const connections = new Connections(options);
  const releases: (() => void)[] = [];
  const withdraw = (): void => {
    for (const each of releases.splice(0)) each();
  };
  const release = (): void => {
    withdraw();
    connections.close();
  };
  try {
    let path: string | undefined;
    for (const scheme of schemes) {
      for (const name of names) {
        const wanted = { area: 'local', protocol: name.protocol, name: scheme, host };
        const connected = (client: Socket): void => void connections.serve(client, { scheme, ...name });
        const service = { connected, running: () => connections.count, max, stop, warn };
        // A stream of bytes may be cut anywhere, which a session tells.
        const begin = (session: Session): void => connections.begin(session, scheme);
        const kept = await keepInfoService(tree, wanted, { ...service, ...(name.framing === 'bytes' && { begin }) });
        releases.push(kept.release);
        path ??= kept.path;
      }
      for (const rundir of rundirs) {
        const { era } = rundir;
        const connected = (client: Socket): void => void connections.serve(client, { scheme, protocol: rundir.path, era, framing: era });
        const kept = await inRundir(tree, { ...rundir, name: scheme }, { connected, stop, warn, explain });
        if (kept) releases.push(kept.release);
      }
    }
    return { path: path!, withdraw, release };
  } catch (error) {
    release();
    throw error;
  }
}

/** Undefined where the directory is not there, or the name there is somebody else's, such as another daemon's of this scheme. */
async function inRundir(
  tree: Tree,
  at: Rundir & { name: string },
  { explain, ...tenant }: RundirTenant & Pick<DaemonOptions, 'explain'>,
): Promise<{ release(): void } | undefined> {
  try {
    return trustedRundir(tree, at) && (await keepRundirSocket(tree, at, tenant));
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    explain(`left out: ${error.message}`);
    return undefined;
  }
}

class Connections {
  readonly #options: DaemonOptions;
  readonly #clients = new Set<Socket>();
  readonly #streams: OpenStreams;
  #sessions = 0;

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#streams = options.streams ?? new OpenStreams();
  }

  get count(): number {
    return this.#clients.size + this.#sessions;
  }

  /** Never rejects. */
  async serve(client: Socket, name: DaemonName): Promise<void> {
    const left = new AbortController();
    const timer = setTimeout(() => left.abort(), timing.headMs);
    this.#clients.add(client);
    client
      .on('error', () => {})
      .once('close', () => {
        this.#clients.delete(client);
        clearTimeout(timer);
        left.abort();
      });
    try {
      if (this.count > this.#options.max) throw new Refused('too many connections');
      const opened = await this.#open(client, name, left.signal);
      clearTimeout(timer);
      await this.#relay(client, name, opened);
    } catch (error) {
      this.#refuse(client, name, error);
    }
  }

  /** A session with the URI that its START names: it has neither ask nor answer. */
  begin(session: Session, scheme: string): void {
    const { uri } = session.start;
    if (uri === undefined) return session.fail('it opens URIs, and START names none');
    if (this.count >= this.#options.max) return session.fail('too many connections', true);
    this.#sessions++;
    void runSession(session, {
      connect: (gone) => this.#connect(uri, scheme, gone),
      clientKind: 'unix',
      mayHandOver: () => true,
      track: (relayed) => this.#streams.add(relayed),
    }).finally(() => this.#sessions--);
  }

  async #connect(uri: string, scheme: string, gone: AbortSignal): Promise<Endpoint> {
    try {
      return await this.#openUri(uri, { scheme, framing: 'bytes' }, AbortSignal.any([gone, AbortSignal.timeout(timing.headMs)]));
    } catch (error) {
      throw new Refused(this.#reasonFor(error));
    }
  }

  close(): void {
    this.#streams.breakAll();
    for (const client of this.#clients) client.destroy();
  }

  async #open(client: Socket, { scheme, era, framing }: DaemonName, left: AbortSignal): Promise<Endpoint> {
    const ended = new Promise<never>((_, reject) => left.addEventListener('abort', () => reject(new Refused('given up'))));
    const length = payloadBytes(era, await Promise.race([readExactly(client, headBytes[era]), ended]), maxAskBytes);
    const uri = (await Promise.race([readExactly(client, length), ended])).toString();
    return this.#openUri(uri, { scheme, framing }, left);
  }

  async #openUri(uri: string, { scheme, framing }: Pick<DaemonName, 'scheme' | 'framing'>, left: AbortSignal): Promise<Endpoint> {
    if (!uri.startsWith(`${scheme}://`)) throw new Refused(`${printable(uri)} is no ${scheme}://`);
    const ended = new Promise<never>((_, reject) => left.addEventListener('abort', () => reject(new Refused('given up'))));
    const opening = this.#options.open(uri, left, framing);
    try {
      return await Promise.race([opening, ended]);
    } catch (error) {
      // One that is late belongs to nobody.
      opening.then(({ socket }) => socket.destroy()).catch(() => {});
      throw error;
    }
  }

  async #relay(client: Socket, { scheme, era, framing }: DaemonName, opened: Endpoint): Promise<void> {
    client.write(encodeIpcFrame(era, 'ok'));
    // What comes in datagrams.
    const isEndless = opened.socket.readableObjectMode;
    const isWhole = framing === 'bytes' || isEndless;
    const target: Endpoint = isWhole ? opened : { socket: framed(opened.socket, framing), kind: 'channel' };
    const relayed = relay({ socket: client, kind: 'unix' }, target, {
      isHeld: ({ kind }) => kind === 'unix' && framing === 'bytes',
      isEndless,
    });
    this.#streams.add(relayed);
    this.#options.explain(`${scheme}: ${await relayed.ended}`);
  }

  #refuse(client: Socket, { era }: DaemonName, error: unknown): void {
    const reason = this.#reasonFor(error);
    if (client.destroyed) return;
    client.end(encodeIpcFrame(era, `no: ${reason.slice(0, maxAnswerBytes / 4)}`));
    client.destroySoon();
  }

  /** What whoever has asked is told. A bug is told of here. */
  #reasonFor(error: unknown): string {
    if (isExpected(error)) return reasonOf(error instanceof Failure ? error.cause : error);
    this.#options.warn(error);
    return 'internal error';
  }
}
