import type { Duplex } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import { servicePath } from '@dipus/proto/name';
import type { SocketKind } from '@dipus/proto/sep';
import type { HostUri } from '@dipus/proto/uri';
import type { SshHost } from '@dipus/ssh/ssh-host';
import type { Query, RemoteEnd, RemoteEvents, RemoteHost, RemoteService } from './host.ts';

/** A host with an sshd. Everything goes over one connection, which is made when it is first needed, and again after a loss. */
export class SshRemote implements RemoteHost {
  readonly printed: string;
  readonly host: string;
  readonly hasExporter = false;
  readonly #root: string | undefined;
  readonly #load: () => Promise<SshHost>;
  #loaded: Promise<SshHost> | undefined;

  /** `load` makes the host that talks: its code is large. */
  constructor(uri: HostUri, load: (printed: string) => Promise<SshHost>) {
    this.printed = printUri(uri);
    this.host = uri.host;
    this.#root = uri.root;
    this.#load = () => load(this.printed);
  }

  pathOf(service: RemoteService): string {
    return `${service.area}/${servicePath(service)}`;
  }

  uriOf(service: RemoteService): string {
    const query = this.#root === undefined ? '' : `?root=${encodePath(this.#root)}`;
    return `${this.printed}/${encodePath(this.pathOf(service))}${query}`;
  }

  async list(query: Query): Promise<RemoteService[]> {
    return (await this.#ssh()).list(query);
  }

  async watch(query: Query, events: RemoteEvents, stop: AbortSignal): Promise<RemoteEnd | undefined> {
    const ssh = await this.#ssh();
    const cause = await ssh.watch(
      query,
      {
        added: (service) => events.added(service),
        removed: (service) => events.removed(this.pathOf(service)),
        ready: () => events.ready(),
        trouble: (reason) => events.trouble(reason),
      },
      stop,
    );
    // Streams know of a loss by themselves.
    return cause && { isSilent: false, cause };
  }

  async dial(service: RemoteService, kind: SocketKind | undefined): Promise<Duplex> {
    const ssh = await this.#ssh();
    try {
      return await ssh.dial(service, kind);
    } catch (error) {
      throw error instanceof Failure ? error : new Failure('connect', this.uriOf(service), error);
    }
  }

  close(): void {
    void this.#loaded?.then((ssh) => ssh.close());
  }

  #ssh(): Promise<SshHost> {
    this.#loaded ??= this.#load();
    return this.#loaded;
  }
}

function printUri({ user, host, port }: HostUri): string {
  const bracketed = host.includes(':') ? `[${host}]` : host;
  return `ssh://${user === undefined ? '' : `${user}@`}${bracketed}${port === undefined ? '' : `:${port}`}`;
}

function encodePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}
