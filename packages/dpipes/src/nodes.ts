// Where stages can run: services of this host's tree, its imports among them, and of hosts that are named.
import { resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Context } from '@dipus/cli/run';
import { openPrompter } from '@dipus/cli/prompter';
import { readOperand } from '@dipus/cli/operand';
import { readAsk } from '@dipus/cli/service-operand';
import { askOf, parseAsk, type Ask } from '@dipus/proto/ask';
import { isUri, parseUri, type HostUri, type RemoteUri, type Uri } from '@dipus/proto/uri';
import { codeOf, Failure, reasonOf } from '@dipus/proto/failure';
import { nodeUri } from '@dipus/proto/node-uri';
import { parseServicePath } from '@dipus/proto/name';
import type { RegistryUrl } from '@dipus/proto/registry-url';
import type { Prompter } from '@dipus/proto/prompter';
import type { RemoteHost, RemoteService } from '@dipus/proto/remote';
import { timing } from '@dipus/proto/timing';
import { probeRemote } from '@dipus/remote/living';
import { openHost } from '@dipus/remote/open';
import { findServices } from '@dipus/tree/list';
import { openService } from '@dipus/tree/open-service';
import { readUser, type Tree } from '@dipus/tree/root';
import { before, lateness, TooLate } from './deadline.ts';
import { hostIn, candidateOf, type Candidate, type Service } from './candidate.ts';
import { Questions } from './questions.ts';
import { Registered } from './registered.ts';
import { startNode } from './start-node.ts';

export interface WhereNodesAre {
  readonly nodes: readonly string[];
  readonly registry?: RegistryUrl;
}

// A host may take this share of the time that is left, so that one that hangs does not keep the others from being asked.
const shareOfHost = 1 / 3;

export class Nodes {
  readonly #uris: readonly Uri[];
  readonly #registered: Registered | undefined;
  readonly #openTree: () => Tree;
  readonly #context: Context;
  /** Nodes that have failed, of which one line is enough. */
  readonly #told = new Set<unknown>();
  /** Whoever has not answered in time, and what there is to say of it. */
  readonly #silent = new Map<unknown, unknown>();
  readonly #hosts = new Map<string, Promise<RemoteHost>>();
  readonly #started = new Map<RemoteHost, Promise<Duplex | undefined>>();
  readonly #questions = new Questions();
  readonly #deadline: number;
  #isClosed = false;

  /**
   * `nodes`: as `-N` names them; without any, and without a registry, this host's tree has them. `deadline`: until when they are of use,
   * Infinity for ever. Throws UsageError.
   */
  constructor({ nodes, registry, deadline }: WhereNodesAre & { deadline: number }, openTree: () => Tree, context: Context) {
    this.#uris = nodes.map(readNode);
    this.#registered = registry && new Registered(registry, openTree);
    this.#openTree = openTree;
    this.#context = context;
    this.#deadline = deadline;
  }

  /**
   * What answers an ask on any node, or, where that is told, on the node of this name. A host that does not answer is told of and left out.
   * Rejects with Failure and UsageError.
   */
  async find(ask: Ask, host?: string): Promise<Service[]> {
    if (this.#uris.length === 0 && !this.#registered) return findLocal(this.#openTree(), ask);
    const registered = await this.#findRegistered(ask, host);
    const found = await Promise.all([
      ...this.#uris.map((uri) => this.#findAt(uri, ask)),
      ...registered.map((uri) => this.#serviceOf(uri, ask)),
    ]);
    return found.flat();
  }

  /** What a SERVICE is, an ask of this host or a URI. Rejects with Failure and UsageError. */
  async findService(text: string): Promise<Service[]> {
    if (!isUri(text)) return text.startsWith('/') ? [serviceAt(resolve(text))] : findLocal(this.#openTree(), readAsk(text));
    const uri = readOperand('SERVICE', text, parseUri);
    return uri.scheme === 'unix' ? [serviceAt(uri.path)] : this.#listOf(uri, uri.ask);
  }

  /** Whether what find() gives depends on the name of the node. */
  get findsByName(): boolean {
    return this.#registered !== undefined;
  }

  /** A service as it can be a stage; undefined where it cannot, or does not answer in time. */
  async candidateAt(service: Service): Promise<Candidate | undefined> {
    const isLate = lateness();
    const passed = (reason: unknown): void => this.#context.explain(`${service.path} is passed over: ${reasonOf(reason)}`);
    const candidate = await candidateOf(service, passed);
    if (!candidate && isLate()) this.#silent.set(service.path, undefined);
    return candidate;
  }

  /** Whether somebody has not answered in time since this was asked last: later it may. */
  takeSilent(): boolean {
    const isAny = this.#silent.size > 0;
    this.#silent.clear();
    return isAny;
  }

  /** Tells which hosts have not answered in time. */
  tellSilent(): void {
    for (const [who, error] of this.#silent) if (error !== undefined) this.#tell(who, error);
  }

  #tell(who: unknown, error: unknown): void {
    // What is given up says nothing of a node.
    if (this.#isClosed || this.#context.stop.aborted) return;
    if (!this.#told.has(who)) this.#context.warn(error);
    this.#told.add(who);
  }

  close(): void {
    this.#isClosed = true;
    this.#registered?.close();
    for (const node of this.#started.values()) node.then((one) => one?.destroy()).catch(() => {});
    for (const host of this.#hosts.values()) host.then((one) => one.close()).catch(() => {});
  }

  /** A registry that does not answer is no reason to fail while there are other nodes. */
  async #findRegistered(ask: Ask, host: string | undefined): Promise<readonly Uri[]> {
    try {
      return (await this.#registered?.find(ask, host)) ?? [];
    } catch (error) {
      if (this.#uris.length === 0 || !(error instanceof Failure)) throw error;
      this.#tell(this.#registered!, error);
      return [];
    }
  }

  /** A URI of one service needs no list of all that its host has. */
  async #serviceOf(uri: Uri, ask: Ask): Promise<Service[]> {
    const service = uri.scheme === 'sep' || uri.scheme === 'seps' ? parseServicePath(uri.ask.segments.join('/')) : undefined;
    if (!service || uri.scheme === 'unix') return this.#findAt(uri, ask);
    const host = await this.#hostOf(uri);
    return [this.#dialled(host, { ...service, area: 'exported', hasControl: true })];
  }

  #dialled(host: RemoteHost, service: RemoteService): Service {
    const uri = host.uriOf(service);
    return { path: uri, host: service.host, uri, open: (half) => host.dial(service, half) };
  }

  async #findAt(uri: Uri, ask: Ask): Promise<Service[]> {
    if (uri.scheme === 'unix') return ask.segments.at(-1) === 'dpipesd' ? [serviceAt(uri.path)] : [];
    if (this.#isClosed || this.#silent.has(uri)) return [];
    try {
      return await this.#inTime(uri, this.#servedAt(uri, ask));
    } catch (error) {
      if (error instanceof Late || codeOf(error) === 'EAGAIN') this.#silent.set(uri, error);
      else this.#tell(uri, error);
      return [];
    }
  }

  async #servedAt(uri: RemoteUri, ask: Ask): Promise<Service[]> {
    if (uri.scheme === 'ssh') await this.#served(uri);
    return this.#listOf(uri, ask);
  }

  /** Rejects with Late where the others must not wait any longer; what a person is being asked counts for no time. */
  async #inTime<T>(uri: RemoteUri, answer: Promise<T>): Promise<T> {
    for (;;) {
      const share = Math.max(timing.probeMs, (this.#deadline - Date.now()) * shareOfHost);
      try {
        return await before(Date.now() + share, answer);
      } catch (error) {
        if (!(error instanceof TooLate)) throw error;
        if (!this.#questions.areOpen) throw new Late('connect to', (await this.#hostOf(uri)).printed, 'it does not answer');
        await Promise.race([answer, this.#questions.first]);
      }
    }
  }

  async #listOf(uri: RemoteUri, ask: Ask): Promise<Service[]> {
    const host = await this.#hostOf(uri);
    const services = await host.list({ ask, isAll: false });
    return services.map((service) => this.#dialled(host, service));
  }

  /** A host with an sshd needs no dpipesd that runs already. */
  async #served(uri: HostUri): Promise<void> {
    const host = await this.#hostOf(uri);
    let started = this.#started.get(host);
    if (!started) {
      started = this.#startWhereNone(host);
      this.#started.set(host, started);
    }
    await started;
  }

  async #startWhereNone(host: RemoteHost): Promise<Duplex | undefined> {
    // Where there is no tree yet, or no way to the host, what follows says so.
    const services = await host.list({ ask: anyNode, isAll: false }).catch(() => []);
    const states = await Promise.all(services.map((service) => probeRemote(host, service)));
    if (states.some((state) => state !== 'dead')) return undefined;
    this.#context.explain(`${host.printed}: no dpipesd runs, so one is started for this pipeline`);
    return startNode(host);
  }

  #hostOf(uri: RemoteUri): Promise<RemoteHost> {
    const key = uri.scheme === 'daemon' ? uri.text : `${uri.scheme} ${uri.user ?? ''} ${uri.host} ${uri.port ?? ''} ${uri.root ?? ''}`;
    let host = this.#hosts.get(key);
    if (!host) {
      const { explain, warn, stop } = this.#context;
      const user = (): ReturnType<typeof readUser> => readUser(process.env);
      const prompter = (): Prompter | undefined => {
        const asked = openPrompter();
        return asked && this.#questions.countedIn(asked);
      };
      host = openHost(uri, { explain, warn, stop, prompter, user, tree: this.#openTree });
      this.#hosts.set(key, host);
    }
    return host;
  }
}

/** A host has not answered yet. */
class Late extends Failure {}

function findLocal(tree: Tree, ask: Ask): Service[] {
  return findServices(tree, ask).map(({ entry, named }) => ({
    path: entry.file,
    host: entry.host,
    file: entry.file,
    open: () => openService({ file: entry.file, trustedBy: named ? undefined : tree }, 'control'),
  }));
}

function serviceAt(file: string): Service {
  return { path: file, host: hostIn(file), file, open: () => openService({ file }, 'control') };
}

function readNode(text: string): Uri {
  return readOperand('-N', text, () => parseUri(nodeUri(text)));
}

/** The ask for what runs any command. */
export const anyNode: Ask = parseAsk('dpipesd');

/** The ask for what runs this program alone. */
export function appNode(name: string): Ask {
  return askOf(['dp', name]);
}
