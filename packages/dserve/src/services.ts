// The services of this process: what is asked for begins, what is asked for no more ends, and the rest is not touched.
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { delay, pause } from '@dipus/proto/waiting';
import { requireGroup } from '@dipus/tree/accounts';
import type { Wanted } from '@dipus/tree/claim';
import type { Tree } from '@dipus/tree/root';
import type { ServiceRequest } from './service-request.ts';
import type { Shared } from './runs.ts';
import { startService, type RunningService } from './service.ts';

/** A service that is asked for, and how trouble with it is to be named. */
export interface Asked {
  readonly request: ServiceRequest;
  /** What stands before the reason, where the service comes from a file: `services:3`. */
  readonly origin?: string;
}

export interface ServicesOptions {
  readonly shared: Shared;
  /** How long open streams may finish when a service ends. */
  readonly graceMs: number;
  /** Gives up what still takes time. */
  readonly stopNow: AbortSignal;
  /** Called with each service when it is ready. */
  claimed(service: RunningService): void;
}

/** A service that is asked for, from then to its end. */
interface Entry {
  service?: RunningService;
  /** Aborted when it is asked for no more. */
  readonly gone: AbortController;
}

export class Services {
  readonly #tree: Tree;
  readonly #options: ServicesOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #ending = new Set<RunningService>();

  constructor(tree: Tree, options: ServicesOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  /** How many there are, or are about to be. */
  get count(): number {
    return this.#entries.size;
  }

  /** Makes these the services that there are. One of a file that cannot be made is warned of; for any other this throws Failure. */
  async change(asked: readonly Asked[]): Promise<void> {
    const wanted = byKey(asked);
    for (const [key, entry] of this.#entries) if (!wanted.has(key)) this.#drop(key, entry);
    for (const [key, one] of wanted) {
      if (this.#entries.has(key)) continue;
      const begun = this.#begin(key, one);
      // In their order; but one that has to wait for its name does not hold the others.
      await (one.origin === undefined ? begun : Promise.race([begun, delay(timing.claimMs)]));
    }
  }

  /** Ends all: out of the tree at once; then the programs, finished within the grace, or ended. */
  async end(graceMs: number): Promise<void> {
    const services = [...this.#ending];
    for (const [key, entry] of this.#entries) {
      if (entry.service) services.push(entry.service);
      entry.gone.abort();
      this.#entries.delete(key);
    }
    await this.#endAll(services, graceMs);
  }

  async #begin(key: string, { request, origin }: Asked): Promise<void> {
    const entry: Entry = { gone: new AbortController() };
    this.#entries.set(key, entry);
    try {
      const service = await startService(
        this.#tree,
        { request, wanted: wantedOf(request) },
        { ...this.#options.shared, stop: entry.gone.signal },
      );
      if (entry.gone.signal.aborted) return await service.close();
      entry.service = service;
      this.#options.claimed(service);
    } catch (error) {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
      if (entry.gone.signal.aborted) return;
      if (origin === undefined) throw error;
      this.#options.shared.warn(error instanceof Failure ? new Failure('serve', origin, error.message).withHint(error.hint) : error);
    }
  }

  #drop(key: string, entry: Entry): void {
    this.#entries.delete(key);
    entry.gone.abort();
    const { service } = entry;
    if (!service) return;
    this.#ending.add(service);
    void this.#endAll([service], this.#options.graceMs).finally(() => this.#ending.delete(service));
  }

  async #endAll(services: readonly RunningService[], graceMs: number): Promise<void> {
    const { stopNow } = this.#options;
    const finished = Promise.all(services.map((service) => service.close()));
    const over = new AbortController();
    const endPrograms = (now: boolean): void => services.forEach((service) => service.endPrograms(now));
    await Promise.race([finished, pause(graceMs, AbortSignal.any([stopNow, over.signal]))]);
    endPrograms(stopNow.aborted);
    stopNow.addEventListener('abort', () => endPrograms(true), { signal: over.signal });
    // A program that even KILL does not end must not hold us.
    await Promise.race([finished, pause(timing.killMs + timing.partingMs, over.signal)]);
    over.abort();
    for (const service of services) service.part();
  }
}

/** A key for what a line asks for; of two lines that are the same the second has another key. */
function byKey(asked: readonly Asked[]): Map<string, Asked> {
  const found = new Map<string, Asked>();
  for (const one of asked) {
    let key = JSON.stringify(one.request);
    while (found.has(key)) key += '+';
    found.set(key, one);
  }
  return found;
}

function wantedOf(request: ServiceRequest): Wanted {
  const { area, protocol, name, host, instance, mode, group } = request;
  const gid = group === undefined ? undefined : requireGroup(group);
  const optional = { ...(instance !== undefined && { instance }), ...(mode !== undefined && { mode }), ...(gid !== undefined && { gid }) };
  return { area, protocol, name, host, ...optional };
}
