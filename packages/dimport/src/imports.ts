// The sockets that stand for a host's services, kept as the host says they are.
import { setImmediate as othersTurn, setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '@dipus/proto/failure';
import { isHost } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import type { RemoteHost, RemoteService } from '@dipus/proto/remote';
import type { OpenStreams } from '@dipus/session/open-streams';
import { ServiceProxy } from '@dipus/session/service-proxy';
import type { Wanted } from '@dipus/tree/claim';
import { keepService, type KeptService } from '@dipus/tree/keep';
import { targetOf } from './target.ts';
import type { ImportOptions } from './import-options.ts';

/** A socket in the tree, and the path under which it was told of. */
interface Made {
  readonly kept: KeptService;
  readonly proxy: ServiceProxy;
  path: string;
}

export interface ImportsOptions extends ImportOptions {
  /** Those of the host. */
  readonly streams: OpenStreams;
  trouble(error: Failure): void;
}

/** Adds and removes imports one at a time; a removal never waits. */
export class Imports {
  readonly #host: RemoteHost;
  readonly #options: ImportsOptions;
  readonly #wanted = new Map<string, RemoteService>();
  readonly #made = new Map<string, Made>();
  readonly #removedAt = new Map<string, number>();
  readonly #numbers = new Map<string, Numbers>();
  #isWorking = false;

  constructor(host: RemoteHost, options: ImportsOptions) {
    this.#host = host;
    this.#options = options;
  }

  add(service: RemoteService): void {
    const path = this.#host.pathOf(service);
    if (!this.#wanted.has(path)) {
      const why = this.#whyFull();
      if (why) return this.#options.trouble(why);
      this.#options.room.taken++;
    }
    this.#wanted.set(path, service);
    void this.#work();
  }

  #whyFull(): Failure | undefined {
    const { maxOfHost, room } = this.#options;
    const leftOut = (reason: string): Failure =>
      new Failure('import all services of', this.#host.printed, `${reason}; the rest is left out`);
    if (this.#wanted.size >= maxOfHost) return leftOut(`more than ${maxOfHost}`);
    if (room.taken >= room.most) return leftOut(`descriptors are enough for ${room.most} imports in all`).withHint('ulimit -n allows more');
    return undefined;
  }

  remove(path: string): void {
    if (this.#wanted.delete(path)) this.#options.room.taken--;
    this.#drop(path);
  }

  /** Removes all. */
  clear(): void {
    this.#options.room.taken -= this.#wanted.size;
    this.#wanted.clear();
    for (const path of this.#made.keys()) this.#drop(path);
    this.#removedAt.clear();
  }

  #drop(path: string): void {
    const made = this.#made.get(path);
    if (!made) return;
    this.#made.delete(path);
    this.#noteRemoval(path);
    this.#release(made.kept);
    this.#options.print(`- ${made.path}\n`);
    this.#options.paths.leave(made);
  }

  /** Names that never come back are not remembered. */
  #noteRemoval(path: string): void {
    for (const [old, at] of this.#removedAt) {
      if (Date.now() - at < timing.settleMs) break;
      this.#removedAt.delete(old);
    }
    this.#removedAt.set(path, Date.now());
  }

  /** To paths of the user's own choosing. */
  #offer(made: Made): void {
    const { proxy, kept } = made;
    this.#options.paths.offer(made, { ...kept.claim.service, area: this.#options.area }, () => proxy.openPlain());
  }

  #release(kept: KeptService): void {
    const { service } = kept.claim;
    this.#numbersOf({ ...service, area: this.#options.area }).delete(service.instance);
    kept.release();
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    const failed = new Set<RemoteService>();
    try {
      for (;;) {
        const missing = [...this.#wanted].filter(([path, service]) => !this.#made.has(path) && !failed.has(service));
        if (missing.length === 0) return;
        const isEarly = ([path]: [string, RemoteService]): boolean => Date.now() - (this.#removedAt.get(path) ?? 0) < timing.settleMs;
        const due = missing.filter((each) => !isEarly(each));
        // What has just gone and come back may be about to go again.
        if (due.length === 0) await sleep(timing.settleMs);
        for (const [path, service] of due) {
          if (!(await this.#make(path, service))) failed.add(service);
          // Nothing in making one waits for the network: thousands would keep all other hosts waiting.
          await othersTurn();
        }
      }
    } finally {
      this.#isWorking = false;
      this.#options.descriptors.measure();
    }
  }

  /** False: it cannot be made. */
  async #make(path: string, service: RemoteService): Promise<boolean> {
    if (this.#wanted.get(path) !== service) return true;
    this.#removedAt.delete(path);
    try {
      const made = await this.#claim(service);
      // Much may have happened meanwhile.
      if (!this.#wanted.has(path)) this.#release(made.kept);
      else {
        this.#made.set(path, made);
        this.#options.print(`+ ${made.path}\n`);
        this.#offer(made);
      }
      return true;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#options.trouble(error);
      return false;
    }
  }

  /** The number that the service has on the remote host, where it is free. */
  async #claim(service: RemoteService): Promise<Made> {
    const { protocol, name, instance } = service;
    const wanted = { area: this.#options.area, protocol, name, host: nameOf(this.#host) };
    const numbers = this.#numbersOf(wanted);
    try {
      if (!numbers.has(instance)) return await this.#keep(service, { ...wanted, instance });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
    return this.#keep(service, { ...wanted, leastInstance: numbers.leastFree });
  }

  /** Those that imports of ours have of a name: they need not be tried. */
  #numbersOf({ protocol, name }: Wanted): Numbers {
    const key = `${protocol}/${name}`;
    let numbers = this.#numbers.get(key);
    if (!numbers) this.#numbers.set(key, (numbers = new Numbers()));
    return numbers;
  }

  async #keep(service: RemoteService, wanted: Wanted): Promise<Made> {
    const { tree, print, stop } = this.#options;
    const matchModes = (): boolean => kept.matchModes();
    const proxy = new ServiceProxy(targetOf(this.#host, service), { ...this.#options, max: 0, matchModes });
    const kept = await keepService(tree, wanted, {
      open: () => proxy.open(),
      stop,
      reclaimed: (path) => {
        const isSame = made.path === belowRoot(path);
        this.#options.warn(`${path} was taken away; claimed it again`);
        if (isSame) return;
        print(`- ${made.path}\n+ ${belowRoot(path)}\n`);
        made.path = belowRoot(path);
        this.#options.paths.leave(made);
        this.#offer(made);
      },
      lost: (error) => this.#options.warn(error),
    });
    const belowRoot = (path: string): string => path.slice(tree.root.length + 1);
    const made: Made = { kept, proxy, path: belowRoot(kept.claim.path) };
    this.#numbersOf(wanted).add(kept.claim.service.instance);
    return made;
  }
}

/** Instance numbers in use, and the least that may be free. */
class Numbers {
  readonly #used = new Set<number>();
  leastFree = 0;

  has(number: number): boolean {
    return this.#used.has(number);
  }

  add(number: number): void {
    this.#used.add(number);
    while (this.#used.has(this.leastFree)) this.leastFree++;
  }

  delete(number: number): void {
    this.#used.delete(number);
    this.leastFree = Math.min(this.leastFree, number);
  }
}

/** HOST of imported services. */
function nameOf({ host }: RemoteHost): string {
  const name = host.replace(/\.$/, '').replace(/\.local$/i, '');
  return isHost(name) ? name : host.replaceAll(/[.\s/]+/g, '-');
}
