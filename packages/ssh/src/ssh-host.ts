// A host with an sshd as a host of services: its tree by SFTP, its sockets by channels, all over one connection.
import type { Duplex } from 'node:stream';
import { answer, matches, type Ask, type PlacedService } from '@dipus/proto/ask';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { controlName, printServiceName } from '@dipus/proto/name';
import type { OfferedService, SocketKind } from '@dipus/proto/sep';
import type { HostUri } from '@dipus/proto/uri';
import { FarConnection } from './far-connection.ts';
import { FarChanges } from './far-changes.ts';
import type { FarService } from './far-directory.ts';
import { FarTree, type FarRoot, type FarTreeEvents } from './far-tree.ts';
import { logIn, type LoginSetting } from './login.ts';

export interface SshHostSetting extends LoginSetting {
  /** How the host is called in messages. */
  readonly printed: string;
  /** How often the tree is looked at where its changes are not told of. */
  readonly pollMs: number;
}

export interface FarEvents {
  added(service: FarService): void;
  removed(service: FarService): void;
  ready(): void;
  trouble(reason: string): void;
}

/** What is asked of a tree; `isAll`: also what may not be picked without being named. */
export interface FarQuery {
  readonly ask: Ask;
  readonly isAll: boolean;
}

const defaultRoot = '/tmp/dipus';

/** Logs in when it is first needed, and again after a loss. close() ends the connection and all that goes over it. */
export class SshHost {
  readonly #uri: HostUri;
  readonly #root: FarRoot;
  readonly #setting: SshHostSetting;
  #connection: Promise<FarConnection> | undefined;

  constructor(uri: HostUri, setting: SshHostSetting) {
    this.#uri = uri;
    this.#root = { path: uri.root ?? defaultRoot, host: setting.printed };
    this.#setting = setting;
  }

  /** What answers, dead sockets too, in the tree's order. Rejects with Failure. */
  async list({ ask, isAll }: FarQuery): Promise<FarService[]> {
    const services: FarService[] = [];
    const tree = await this.#tree(await this.#connected(), {
      added: (service) => services.push(service),
      removed: (service) => services.splice(services.indexOf(service), 1),
      trouble: (reason) => this.#explain(reason),
    });
    await tree.look();
    const found = matches(ask, services).filter(({ service, named }) => isAll || named || service.untrusted === undefined);
    return found.map(({ service }) => service);
  }

  /** Watches until the connection is lost, or `stop` aborts (resolves with undefined then). Rejects with Failure where it cannot begin. */
  async watch(query: FarQuery, events: FarEvents, stop: AbortSignal): Promise<Failure | undefined> {
    const connection = await this.#connected();
    const tree = await this.#tree(connection, answering(query, events));
    const looks = new Looks(tree, events);
    const changes = new FarChanges(this.#setting.pollMs, () => void looks.again());
    const stopped = new Promise<undefined>((resolve) => {
      if (stop.aborted) resolve(undefined);
      stop.addEventListener('abort', () => resolve(undefined), { once: true });
    });
    try {
      const first = await Promise.race([looks.again(), stopped, connection.lost]);
      if (first) return first;
      if (!stop.aborted) events.ready();
      void changes.listen(connection.channels, this.#root.path, (line) => this.#explain(line));
      return await Promise.race([
        stopped,
        connection.lost,
        looks.failed.then((cause) => new Failure('list', this.#setting.printed, cause)),
      ]);
    } finally {
      looks.close();
      changes.close();
    }
  }

  /**
   * Connects to a service's socket, or with `kind` to its control socket if it has one: half-open, not read yet; the caller closes it. Rejects with an
   * Error whose code is the system's, where that can be known (ENOTSUP: sshd forwards no sockets), or with Failure.
   */
  async dial(service: PlacedService & OfferedService, kind: SocketKind | undefined): Promise<Duplex> {
    const name = printServiceName(service);
    const directory = `${this.#root.path}/${service.area}${service.protocol === '' ? '' : `/${service.protocol}`}`;
    const connection = await this.#connected();
    return connection.openSocket(`${directory}/${kind !== undefined && service.control ? controlName(name) : name}`);
  }

  /** Ends the connection when what goes over it has been closed, or has had time to be. */
  close(): void {
    void this.#connection?.then((connection) => connection.close()).catch(() => {});
  }

  #connected(): Promise<FarConnection> {
    this.#connection ??= this.#connect();
    return this.#connection;
  }

  async #connect(): Promise<FarConnection> {
    const forget = (): void => void (this.#connection = undefined);
    try {
      const connection = new FarConnection(await logIn(this.#uri, this.#setting), this.#setting.printed);
      void connection.lost.then(forget);
      return connection;
    } catch (error) {
      forget();
      throw error;
    }
  }

  async #tree(connection: FarConnection, events: FarTreeEvents): Promise<FarTree> {
    return new FarTree(await connection.files(), this.#root, events);
  }

  #explain(line: string): void {
    this.#setting.explain(`${this.#setting.printed}: ${line}`);
  }
}

/** Looks at a tree one at a time. */
class Looks {
  /** Resolves where looking on makes no sense. */
  readonly failed: Promise<unknown>;
  readonly #tree: FarTree;
  readonly #events: FarEvents;
  #fail!: (cause: unknown) => void;
  #running: Promise<void> | undefined;
  #isDue = false;
  #isClosed = false;

  constructor(tree: FarTree, events: FarEvents) {
    this.#tree = tree;
    this.#events = events;
    this.failed = new Promise((resolve) => (this.#fail = resolve));
  }

  /** Now, or as soon as the one that runs is done. */
  again(): Promise<void> {
    this.#isDue = true;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    return this.#running;
  }

  close(): void {
    this.#isClosed = true;
  }

  async #run(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      try {
        await this.#tree.look();
      } catch (error) {
        // There may be a tree later.
        if (error instanceof Failure) this.#events.trouble(reasonOf(error.cause));
        else this.#fail(error);
      }
    }
  }
}

/** Of what a tree tells, that which answers. */
function answering({ ask, isAll }: FarQuery, events: FarEvents): FarTreeEvents {
  const isWanted = (service: FarService): boolean => {
    const found = answer(ask, service);
    return found !== undefined && (isAll || found.named || service.untrusted === undefined);
  };
  return {
    added: (service) => isWanted(service) && events.added(service),
    removed: (service) => isWanted(service) && events.removed(service),
    trouble: (reason) => events.trouble(reason),
  };
}
