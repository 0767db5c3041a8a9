// A host with an sshd as a host of services: its tree by SFTP, its sockets by channels, all over one connection.
import type { Duplex } from 'node:stream';
import { answer, matches } from '@dipus/proto/ask';
import { Failure } from '@dipus/proto/failure';
import { controlName, defaultRoot, formatServiceName, servicePath } from '@dipus/proto/name';
import { quoted } from '@dipus/proto/quoted';
import type { RemoteEvents, RemoteHost, RemoteQuery, RemoteService, WatchResult } from '@dipus/proto/remote';
import type { SocketKind } from '@dipus/proto/sep';
import type { HostUri } from '@dipus/proto/uri';
import { Looks } from './looks.ts';
import { RemoteConnection } from './remote-connection.ts';
import { RemoteChanges } from './remote-changes.ts';
import type { RemoteServiceFile } from './remote-directory.ts';
import { RemoteTree, type RemoteRoot, type RemoteTreeEvents } from './remote-tree.ts';
import { logIn } from '../login/login.ts';
import { formatTarget } from '../settings/target.ts';
import type { LoginOptions } from '../login/login-options.ts';
import { SftpLost } from './sftp-answer.ts';

export interface SshHostOptions extends LoginOptions {
  /** How often the tree is looked at where its changes are not told of. */
  readonly pollMs: number;
}

/** Logs in when it is first needed, and again after a loss. close() ends the connection and all that goes over it. */
export class SshHost implements RemoteHost {
  readonly printed: string;
  readonly host: string;
  readonly hasExporter = false;
  readonly #uri: HostUri;
  readonly #root: RemoteRoot;
  readonly #options: SshHostOptions;
  readonly #closed = new AbortController();
  #connection: Promise<RemoteConnection> | undefined;

  constructor(uri: HostUri, options: SshHostOptions) {
    this.#uri = uri;
    this.printed = formatTarget(uri);
    this.host = uri.host;
    this.#root = { path: uri.root ?? defaultRoot, host: this.printed };
    this.#options = options;
  }

  pathOf(service: RemoteService): string {
    return `${service.area}/${servicePath(service)}`;
  }

  uriOf(service: RemoteService): string {
    const query = this.#uri.root === undefined ? '' : `?root=${encodePath(this.#uri.root)}`;
    return `${this.printed}/${encodePath(this.pathOf(service))}${query}`;
  }

  /** What answers, dead sockets too. */
  async list({ ask, isAll }: RemoteQuery): Promise<RemoteServiceFile[]> {
    const services: RemoteServiceFile[] = [];
    await this.#unlessStopped(this.#options.stop, this.#look(services));
    const found = matches(ask, services).filter(({ service, named }) => isAll || named || service.untrusted === undefined);
    return found.map(({ service }) => service);
  }

  async watch(query: RemoteQuery, events: RemoteEvents, stop: AbortSignal): Promise<WatchResult | undefined> {
    const over = new AbortController();
    try {
      const cause = await this.#unlessStopped(stop, this.#watch(query, events, over.signal));
      // Streams know of a loss by themselves.
      return { isSilent: false, cause };
    } catch (error) {
      if (stop.aborted) return undefined;
      throw error;
    } finally {
      over.abort();
    }
  }

  /** Until the connection is lost, or `over` aborts: nothing is told any more then. */
  async #watch(query: RemoteQuery, events: RemoteEvents, over: AbortSignal): Promise<Failure> {
    const connection = await this.#connected();
    const tree = await this.#tree(connection, this.#answering(query, events));
    const looks = new Looks(tree, events);
    const changes = new RemoteChanges(this.#options.pollMs, (isThorough) => void looks.again(isThorough));
    const end = (): void => {
      looks.close();
      changes.close();
    };
    over.addEventListener('abort', end);
    if (over.aborted) end();
    const failed = looks.failed.then((cause) =>
      connection.isLost ? connection.lost : new Failure('list the services of', this.printed, cause),
    );
    const first = await Promise.race([looks.again(true), failed, connection.lost]);
    if (first) return first;
    if (!over.aborted) {
      events.ready();
      void changes.listen(connection.channels, this.#root.path, (line) => this.#explain(line));
    }
    return Promise.race([connection.lost, failed]);
  }

  async #look(services: RemoteServiceFile[]): Promise<void> {
    const connection = await this.#connected();
    try {
      const tree = await this.#tree(connection, {
        added: (service) => services.push(service),
        removed: (service) => services.splice(services.indexOf(service), 1),
        changed: () => {},
        trouble: (reason) => this.#explain(reason),
      });
      await tree.look(true);
    } catch (error) {
      if (connection.isLost) throw await connection.lost;
      throw error instanceof SftpLost ? new Failure('list the services of', this.printed, error) : error;
    }
  }

  /** The same promise, but rejects with Failure as soon as `stop` aborts. */
  async #unlessStopped<T>(stop: AbortSignal, promise: Promise<T>): Promise<T> {
    let abort = (): void => {};
    const stopped = new Promise<never>((_, reject) => {
      abort = () => reject(new Failure('list the services of', this.printed, 'interrupted'));
      if (stop.aborted) abort();
      stop.addEventListener('abort', abort);
    });
    try {
      return await Promise.race([promise, stopped]);
    } finally {
      stop.removeEventListener('abort', abort);
    }
  }

  async dial(service: RemoteService, kind: SocketKind | undefined): Promise<Duplex> {
    const name = formatServiceName(service);
    const names = [service.area, ...service.protocol.split('/').filter(Boolean)];
    const directories = names.map((_, at) => [this.#root.path, ...names.slice(0, at + 1)].join('/'));
    const plain = `${directories.at(-1)}/${name}`;
    const controlPath = kind !== undefined && service.hasControl ? `${directories.at(-1)}/${controlName(name)}` : undefined;
    try {
      const connection = await this.#connected();
      return await connection.openChecked({ directories, plain, controlPath, isNamed: service.untrusted !== undefined });
    } catch (error) {
      throw error instanceof Failure ? error : new Failure('connect to', this.uriOf(service), error);
    }
  }

  async runScript(script: string): Promise<Duplex> {
    const { channels } = await this.#connected();
    const command = `exec sh -c ${quoted(script)} sh ${quoted(this.#root.path)}`;
    const program = await channels
      .openSession((stream, remote) => stream.exec(remote, command, true))
      .catch((error: unknown) => {
        throw new Failure('run a command at', this.printed, error);
      });
    if (!program) throw new Failure('run a command at', this.printed, 'its sshd runs none');
    return program.on('error', () => {});
  }

  /** Ends the connection when what goes over it has been closed, or has had time to be; a login that is under way at once. */
  close(): void {
    this.#closed.abort();
    void this.#connection?.then((connection) => connection.close()).catch(() => {});
  }

  #connected(): Promise<RemoteConnection> {
    this.#connection ??= this.#connect();
    return this.#connection;
  }

  async #connect(): Promise<RemoteConnection> {
    const forget = (): void => void (this.#connection = undefined);
    try {
      const stop = AbortSignal.any([this.#options.stop, this.#closed.signal]);
      const connection = new RemoteConnection(await logIn(this.#uri, { ...this.#options, stop }), this.printed);
      void connection.lost.then(forget);
      return connection;
    } catch (error) {
      forget();
      throw error;
    }
  }

  async #tree(connection: RemoteConnection, events: RemoteTreeEvents): Promise<RemoteTree> {
    return new RemoteTree(await connection.files(), this.#root, events);
  }

  /** Of what a tree tells, that which answers. */
  #answering({ ask, isAll }: RemoteQuery, events: RemoteEvents): RemoteTreeEvents {
    const isWanted = (service: RemoteServiceFile): boolean => {
      const found = answer(ask, service);
      return found !== undefined && (isAll || found.named || service.untrusted === undefined);
    };
    return {
      added: (service) => isWanted(service) && events.added(service),
      removed: (service) => isWanted(service) && events.removed(this.pathOf(service)),
      changed: (service) => {
        if (!isWanted(service)) return;
        if (events.changed) return events.changed(service);
        events.removed(this.pathOf(service));
        events.added(service);
      },
      trouble: (reason) => events.trouble(reason),
    };
  }

  #explain(line: string): void {
    this.#options.explain(`${this.printed}: ${line}`);
  }
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
