// A registry that is a service: dipus-registry(5), Being a registry.
import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import { Failure } from '@dipus/proto/failure';
import { Lines } from '@dipus/proto/lines';
import type { ServiceUrl } from '@dipus/proto/registry-url';
import { timing } from '@dipus/proto/timing';
import { delay, pause } from '@dipus/proto/waiting';
import { findServices } from '@dipus/tree/list';
import { openService } from '@dipus/tree/open-service';
import type { Tree } from '@dipus/tree/root';
import { formatValue, maxValueBytes, parseValue, type RegistryEntry } from './registry-entry.ts';
import { keepTrying } from './keep-trying.ts';
import { Known } from './known.ts';
import type { RegisterOptions, Registration, Registry, RegistryEvents } from './registry.ts';
import { EntryKeys } from './entry-keys.ts';

/** The most bytes of a line: a sign, a key and a value. */
const maxLineBytes = maxValueBytes + 1024;
const maxEntries = 100_000;

export class ServiceRegistry implements Registry {
  readonly #url: ServiceUrl;
  readonly #openTree: () => Tree;
  readonly #closed = new AbortController();

  constructor(url: ServiceUrl, openTree: () => Tree) {
    this.#url = url;
    this.#openTree = openTree;
  }

  async list(name: string): Promise<RegistryEntry[]> {
    const over = new AbortController();
    let values: ReadonlyMap<string, string> = new Map();
    const stop = AbortSignal.any([over.signal, this.#closed.signal]);
    await this.#follow(name, stop, { all: (all) => ((values = all), over.abort()), put: () => {}, remove: () => {} });
    if (!over.signal.aborted) throw this.#failure('it was closed');
    return [...values.values()].map((value) => parseValue(name, value)).filter((entry) => entry !== undefined);
  }

  async watch(name: string, events: RegistryEvents, stop: AbortSignal): Promise<void> {
    const known = new Known(name, events);
    const work = async (isWell: () => void): Promise<void> => {
      await this.#follow(name, stop, {
        all: (values) => {
          isWell();
          known.replace(values);
        },
        put: (key, value) => known.put(key, value),
        remove: (key) => known.remove(key),
      });
    };
    await keepTrying(work, { stop, maxPauseMs: timing.maxBackoffMs, tell: (error) => events.trouble(error) });
  }

  register({ entries, warn, explain }: RegisterOptions): Registration {
    const keys = new EntryKeys(randomBytes(8).toString('hex'));
    const stop = new AbortController();
    let write = (): void => {};
    const work = (isWell: () => void): Promise<void> =>
      this.#converse(`register ${this.#url.url}`, stop.signal, (socket) => {
        const written = new Map<string, string>();
        return (line) => {
          if (line !== 'ok') return;
          isWell();
          explain(`${this.#url.printed}: registers`);
          write = () => socket.write(linesFor(keys.values(entries(undefined), formatValue), written));
          write();
        };
      });
    const ended = keepTrying(work, { stop: stop.signal, maxPauseMs: timing.maxBackoffMs, tell: warn }).catch(warn);
    return {
      update: () => write(),
      close: async () => {
        stop.abort();
        await Promise.race([ended, delay(timing.partingMs)]);
      },
    };
  }

  close(): void {
    this.#closed.abort();
  }

  /** What there is, and then what changes, until it is stopped. Rejects with Failure where it ends before. */
  async #follow(name: string, stop: AbortSignal, take: Following): Promise<void> {
    // What was told since the last line that says that this is all.
    let values = new Map<string, string>();
    let isAll = false;
    await this.#converse(`watch ${this.#url.url} ${name}`, stop, () => (line) => {
      const [, sign, key, value = ''] = /^([+-]) (\S+)(?: (.*))?$/.exec(line) ?? [];
      if (line === '.') {
        isAll = true;
        take.all(values);
        values = new Map();
      } else if (key !== undefined && sign === '+') {
        values.set(key, value);
        if (isAll) take.put(key, value);
      } else if (key !== undefined) {
        values.delete(key);
        take.remove(key);
      }
      if (values.size > maxEntries) throw this.#failure(`it has more than ${maxEntries} entries of a name`);
    });
  }

  /** Sends a request, and gives each line of the answer to what `begin` makes until it is stopped. Rejects with Failure where it ends. */
  async #converse(request: string, stop: AbortSignal, begin: (socket: Socket) => (line: string) => void): Promise<void> {
    const socket = await this.#connect();
    const take = begin(socket);
    const over = new AbortController();
    let failure: unknown;
    const fail = (error: unknown): void => {
      failure ??= error;
      socket.destroy();
    };
    const lines = new Lines(maxLineBytes, (line) => {
      if (/^no\b/.test(line)) return fail(this.#failure(line.replace(/^no:? ?/, '') || 'it gives no reason'));
      if (line === '.' || line === 'ok') over.abort();
      take(line);
    });
    void pause(timing.listMs, over.signal).then(() => over.signal.aborted || fail(this.#failure('no answer in time')));
    const end = (): void => void socket.destroy();
    stop.addEventListener('abort', end, { once: true });
    try {
      await new Promise<void>((resolve) => {
        socket.on('error', fail).once('end', end).once('close', resolve);
        socket.on('data', (chunk: Buffer) => {
          try {
            if (!socket.destroyed && !lines.push(chunk)) fail(this.#failure('one of its lines is too long'));
          } catch (error) {
            fail(error);
          }
        });
        socket.resume().write(`${request}\n`);
        if (stop.aborted) end();
      });
    } finally {
      over.abort();
      stop.removeEventListener('abort', end);
    }
    if (stop.aborted) return;
    throw failure instanceof Failure ? failure : this.#failure(failure ?? 'it has ended the connection');
  }

  async #connect(): Promise<Socket> {
    const { scheme } = this.#url;
    const tree = this.#openTree();
    const found = findServices(tree, { segments: ['local', 'registry', scheme], hasGlob: false }).map(({ entry }) => entry);
    const own = found.filter((entry) => entry.area === 'local' && entry.protocol === 'registry' && entry.name === scheme);
    let failure: unknown = `there is no service ${scheme} of protocol registry`;
    for (const { file } of own) {
      try {
        return await openService({ file, trustedBy: tree }, 'plain');
      } catch (error) {
        failure = error;
      }
    }
    throw this.#failure(failure);
  }

  #failure(cause: unknown): Failure {
    return new Failure('ask', this.#url.printed, cause);
  }
}

interface Following {
  /** This is all. */
  all(values: ReadonlyMap<string, string>): void;
  put(key: string, value: string): void;
  remove(key: string): void;
}

/** What makes `written` what is wanted. */
function linesFor(wanted: ReadonlyMap<string, string>, written: Map<string, string>): string {
  let text = '';
  for (const key of written.keys()) if (!wanted.has(key)) text += `- ${key}\n`;
  for (const [key, value] of wanted) if (written.get(key) !== value) text += `+ ${key} ${value}\n`;
  written.clear();
  for (const [key, value] of wanted) written.set(key, value);
  return text;
}
