import { userInfo } from 'node:os';
import type { LookupFunction } from 'node:net';
import { Descriptors } from '@dipus/cli/descriptors';
import { Failure, UsageError } from '@dipus/cli/errors';
import type { Context } from '@dipus/cli/run';
import { printHost, hostOf } from '@dipus/sep/host';
import { askTarget } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import type { HostUri } from '@dipus/proto/uri';
import type { Tree } from '@dipus/tree/root';
import { readUri, type Arguments } from './args.ts';
import { Source } from './source.ts';
import type { Setting } from './setting.ts';

export interface DimportSetting {
  readonly context: Context;
  readonly lookup: LookupFunction;
  /** Lines that name more hosts, or take some back. */
  readonly lines?: AsyncIterable<string>;
}

const maxImports = 4096;
const descriptorsOfImport = 3;

/** Imports until it is stopped, or with --once until the last host has gone. Returns the exit status. Throws Failure. */
export async function dimport(args: Arguments, tree: Tree, { context, lookup, lines }: DimportSetting): Promise<number> {
  const sources = new Sources(newSetting(tree, context), { lookup, isOnce: args.isOnce });
  for (const uri of args.uris) sources.add(uri);
  if (lines) void readLines(lines, sources, context);
  const isStopped = aborted(context.stop).then(() => true);
  const result = args.isOnce ? await Promise.race([isStopped, sources.allEnded().then(() => false)]) : await isStopped;
  if (!result) return 1;
  await sources.finish(context);
  return 0;
}

function newSetting(tree: Tree, context: Context): Setting {
  const descriptors = new Descriptors();
  const most = Math.max(1, Math.min(maxImports, Math.floor(descriptors.capacity / 2 / descriptorsOfImport)));
  context.verbose(`${descriptors.limit} descriptors: up to ${most} imports`);
  return { tree, area: ownArea(), descriptors, maxImports: most, print: context.print, warn: context.warn, explain: context.verbose };
}

/** The area of this user's imports. Throws Failure for a user whose name is taken. */
function ownArea(): string {
  let name;
  try {
    name = userInfo().username;
  } catch {
    // A user without a passwd entry.
    name = String(process.geteuid!());
  }
  if (name === 'local' || name === 'exported') throw new Failure('import for user', name, `${name}/ is not for imports`);
  return name;
}

/** The hosts that are imported from. */
class Sources {
  readonly #setting: Setting;
  readonly #options: { lookup: LookupFunction; isOnce: boolean };
  readonly #sources = new Map<string, Source>();
  /** Those that were taken back while they had open streams. */
  readonly #leaving = new Set<Source>();

  constructor(setting: Setting, options: { lookup: LookupFunction; isOnce: boolean }) {
    this.#setting = setting;
    this.#options = options;
  }

  add(uri: HostUri): void {
    const key = keyOf(uri);
    if (this.#sources.has(key)) return;
    this.#sources.set(key, new Source(uri, hostOf(uri, this.#options.lookup), { ...this.#options, setting: this.#setting }));
  }

  remove(uri: HostUri): void {
    const source = this.#sources.get(keyOf(uri));
    if (!source) return;
    this.#sources.delete(keyOf(uri));
    this.#leaving.add(source);
    source.close();
    void source.idle().then(() => this.#leaving.delete(source));
  }

  async allEnded(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.ended));
  }

  /** Out of the tree at once; open streams may finish. */
  async finish({ stop, stopNow }: Context): Promise<void> {
    const all = [...this.#sources.values(), ...this.#leaving];
    for (const source of all) source.close();
    const graceMs = stop.reason === 'SIGTERM' ? timing.graceMs : 0;
    await Promise.race([Promise.all(all.map((source) => source.idle())), delay(graceMs), aborted(stopNow)]);
    for (const source of all) source.breakStreams();
  }
}

async function readLines(lines: AsyncIterable<string>, sources: Sources, context: Context): Promise<void> {
  for await (const line of lines) {
    const [, sign = '+', text = ''] = /^\s*(?:([+-])\s+)?(.*?)\s*$/.exec(line) ?? [];
    if (text === '') continue;
    try {
      const uri = readUri(text);
      if (sign === '+') sources.add(uri);
      else sources.remove(uri);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      context.warn(new Failure('read', 'stdin', error.message));
    }
  }
}

function keyOf(uri: HostUri): string {
  return `${printHost(hostOf(uri))}${askTarget(uri.ask)}`;
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
