import { userInfo } from 'node:os';
import { Descriptors } from '@dipus/cli/descriptors';
import { UsageError } from '@dipus/cli/errors';
import { Failure } from '@dipus/proto/failure';
import type { Context } from '@dipus/cli/run';
import { openPrompter } from '@dipus/cli/prompter';
import { everything } from '@dipus/proto/ask';
import { timing } from '@dipus/proto/timing';
import { sepPort, type RemoteUri } from '@dipus/proto/uri';
import type { RemoteHost } from '@dipus/proto/remote';
import { aborted, delay } from '@dipus/proto/waiting';
import { openHost } from '@dipus/remote/open';
import { readUser, type Tree, type User } from '@dipus/tree/root';
import { readUri, type Arguments } from './args.ts';
import { FixedPaths } from './fixed-paths.ts';
import { Source } from './source.ts';
import type { ImportOptions } from './import-options.ts';

export interface DimportOptions {
  readonly context: Context;
  /** Lines that name more hosts, or take some back. */
  readonly lines?: AsyncIterable<string>;
}

/** The most services that are imported from one host. */
const maxOfHost = 4096;
// Its two sockets; those of one directory share the descriptor of that.
const descriptorsOfImport = 2;

/** Imports until it is stopped, or with --once until the last host has gone. Returns the exit status. Throws Failure. */
export async function dimport(args: Arguments, tree: Tree, { context, lines }: DimportOptions): Promise<number> {
  const paths = new FixedPaths(args.paths, context);
  const sources = new Sources(importOptions(tree, paths, context), args, context);
  for (const uri of args.uris) await sources.add(uri);
  context.ready();
  const status = await Promise.race([
    aborted(context.stop).then(() => 0),
    ...(args.isOnce ? [sources.allEnded().then(() => 1)] : []),
    ...(lines ? [readLines(lines, { sources, context, isSepsOnly: args.isSepsOnly })] : []),
  ]);
  if (context.stop.aborted) await sources.finish(context);
  else sources.closeHosts();
  await paths.close();
  return status;
}

function importOptions(tree: Tree, paths: FixedPaths, context: Context): ImportOptions {
  const descriptors = new Descriptors();
  const most = Math.max(1, Math.floor(descriptors.capacity / 2 / descriptorsOfImport));
  context.explain(`${descriptors.limit} descriptors: up to ${most} imports`);
  const { stop, print, warn, explain } = context;
  return { tree, area: ownArea(), descriptors, paths, maxOfHost, room: { taken: 0, most }, stop, print, warn, explain };
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

/** The URIs that are imported from. Those of one host share what there is to share. */
class Sources {
  readonly #options: ImportOptions;
  readonly #args: Arguments;
  readonly #context: Context;
  readonly #sources = new Map<string, Source>();
  /** Those that were taken back while they had open streams. */
  readonly #leaving = new Set<Source>();

  constructor(options: ImportOptions, args: Arguments, context: Context) {
    this.#options = options;
    this.#args = args;
    this.#context = context;
  }

  async add(uri: RemoteUri): Promise<void> {
    const key = keyOf(uri);
    if (this.#sources.has(key)) return;
    this.#sources.set(key, new Source(uri, await this.#hostOf(uri), { ...this.#options, isOnce: this.#args.isOnce }));
  }

  remove(uri: RemoteUri): void {
    const source = this.#sources.get(keyOf(uri));
    if (!source) return;
    this.#sources.delete(keyOf(uri));
    this.#leaving.add(source);
    void this.#end(source);
  }

  async #hostOf(uri: RemoteUri): Promise<RemoteHost> {
    const other = [...this.#sources.values(), ...this.#leaving].find((source) => isSameHost(source.uri, uri));
    if (other) return other.host;
    const { explain, warn, stop } = this.#context;
    const { pollMs, isFromStdin } = this.#args;
    const user = (): User => readUser(process.env);
    const tree = (): Tree => this.#options.tree;
    const options = { explain, warn, stop, prompter: openPrompter, user, tree, isFromList: isFromStdin };
    return openHost(uri, { ...options, ...(pollMs !== undefined && { pollMs }) });
  }

  /** Its host is let go of when no stream needs it any more. */
  async #end(source: Source): Promise<void> {
    source.close();
    await source.idle();
    this.#leaving.delete(source);
    if (![...this.#sources.values(), ...this.#leaving].some(({ host }) => host === source.host)) source.host.close();
  }

  get isEmpty(): boolean {
    return this.#sources.size + this.#leaving.size === 0;
  }

  async allEnded(): Promise<void> {
    await Promise.all([...this.#sources.values()].map((source) => source.ended));
  }

  closeHosts(): void {
    for (const { host } of [...this.#sources.values(), ...this.#leaving]) host.close();
  }

  /** Out of the tree at once; open streams may finish. */
  async finish({ stop, stopNow }: Context): Promise<void> {
    const all = [...this.#sources.values(), ...this.#leaving];
    for (const source of all) source.close();
    const graceMs = stop.reason === 'SIGTERM' ? timing.graceMs : 0;
    await Promise.race([Promise.all(all.map((source) => source.idle())), delay(graceMs), aborted(stopNow)]);
    for (const source of all) source.breakStreams();
    this.closeHosts();
  }
}

interface Reading {
  readonly sources: Sources;
  readonly context: Context;
  readonly isSepsOnly: boolean;
}

/** Resolves with the status where nothing is left to be done: all lines are read, and none of them is imported from. */
async function readLines(lines: AsyncIterable<string>, { sources, context, isSepsOnly }: Reading): Promise<number> {
  let status = 0;
  const refuse = (why: Failure): void => {
    context.warn(why);
    status = 1;
  };
  for await (const line of lines) {
    const [, sign = '+', text = ''] = /^\s*(?:([+-])\s+)?(.*?)\s*$/.exec(line) ?? [];
    if (text === '') continue;
    try {
      const uri = readUri(text);
      if (sign === '-') sources.remove(uri);
      else if (isSepsOnly && uri.scheme !== 'seps') refuse(notSeps(text));
      else await sources.add(uri);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      refuse(new Failure('read', 'stdin', error.message));
    }
  }
  return sources.isEmpty && !context.stop.aborted ? status : new Promise(() => {});
}

function notSeps(text: string): Failure {
  return new Failure('trust', text, 'it is not seps://, so whoever is on the network may be it');
}

function keyOf(named: RemoteUri): string {
  if (named.scheme === 'daemon') return named.text;
  const { ask, ...uri } = named;
  const port = uri.port ?? (uri.scheme === 'ssh' ? undefined : sepPort);
  return JSON.stringify([uri.scheme, uri.user, uri.host, port, uri.root, ask.segments]);
}

function isSameHost(a: RemoteUri, b: RemoteUri): boolean {
  return keyOf({ ...a, ask: everything }) === keyOf({ ...b, ask: everything });
}
