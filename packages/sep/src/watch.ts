// A watch of what an exporter offers.
import type { IncomingMessage } from 'node:http';
import type { Ask } from '@dipus/proto/ask';
import { Failure } from '@dipus/proto/failure';
import { Lines } from '@dipus/proto/lines';
import { servicePath } from '@dipus/proto/name';
import type { RemoteEvents, WatchResult } from '@dipus/proto/remote';
import { askTarget, maxLineBytes, parseWatchEvent } from '@dipus/proto/sep';
import { socketsSeen } from '@dipus/proto/sockets-seen';
import { timing } from '@dipus/proto/timing';
import { formatAddress, type ExporterAddress } from './address.ts';
import { inWords } from './body.ts';
import { exported } from './list.ts';
import { get } from './request.ts';

/** Two pings, and some time for the second to come. */
const silences = 2.1;
// So many services nobody offers.
const maxServices = 100_000;

/** Watches until the connection is lost, or `stop` aborts (resolves with undefined then). Rejects with Failure where it cannot begin. */
export async function watchServices(
  host: ExporterAddress,
  ask: Ask,
  { events, stop }: { readonly events: RemoteEvents; readonly stop: AbortSignal },
): Promise<WatchResult | undefined> {
  const answer = await get(host, `${askTarget(ask)}?watch`, 'application/x-ndjson');
  if (stop.aborted) return void answer.destroy();
  return new Promise((resolve) => {
    const finish = (reason: unknown, isSilent = false): void => {
      for (const timer of [silence, beginning]) clearTimeout(timer);
      stop.removeEventListener('abort', stopped);
      answer.removeAllListeners('data').destroy();
      resolve(stop.aborted ? undefined : { isSilent, cause: new Failure('watch', formatAddress(host), reason) });
    };
    const stopped = (): void => finish('stopped');
    let heard = 0;
    let hasBegun = false;
    const silent = async (): Promise<void> => {
      const before = heard;
      await socketsSeen();
      if (heard === before) finish(`silent for ${Math.round((timing.pingMs * silences) / 1000)} s`, true);
    };
    const late = async (): Promise<void> => {
      await socketsSeen();
      if (!hasBegun) finish(`it has not told of all its services after ${timing.listMs / 1000} s`);
    };
    const silence = setTimeout(() => void silent(), timing.pingMs * silences);
    const beginning = setTimeout(() => void late(), timing.listMs);
    stop.addEventListener('abort', stopped);
    const told = new Told(events, () => {
      hasBegun = true;
      clearTimeout(beginning);
    });
    const lines = new Lines(maxLineBytes, (line) => {
      heard++;
      silence.refresh();
      told.take(line);
    });
    answer.on('data', (chunk: Buffer) => {
      if (!lines.push(chunk)) finish(`it sent a line longer than ${maxLineBytes} bytes`);
      else if (told.count > maxServices) finish(`it offers more than ${maxServices} services`);
    });
    watchEnd(answer, finish);
  });
}

function watchEnd(answer: IncomingMessage, finish: (reason: unknown, isSilent?: boolean) => void): void {
  answer.on('error', (error) => finish(inWords(error)));
  answer.on('end', () => finish('it closed the connection'));
  answer.on('close', () => finish('it closed the connection'));
}

/** What an exporter has told of. */
class Told {
  readonly #events: RemoteEvents;
  readonly #began: () => void;
  readonly #paths = new Set<string>();
  readonly #troubles = new Set<string>();

  /** `began` is called when everything that was there at the beginning has been told of. */
  constructor(events: RemoteEvents, began: () => void) {
    this.#events = events;
    this.#began = began;
  }

  get count(): number {
    return this.#paths.size;
  }

  take(line: string): void {
    const event = parseWatchEvent(line);
    if (event === undefined) return this.#trouble('it sent a line that is not an event');
    if (event === 'unknown') return this.#trouble('it names something that is not a service');
    if (event.event === 'add') {
      this.#paths.add(servicePath(event.service));
      return this.#events.added(exported(event.service));
    }
    if (event.event === 'remove') {
      this.#paths.delete(event.path);
      return this.#events.removed(event.path);
    }
    if (event.event !== 'ready') return;
    this.#began();
    this.#events.ready();
  }

  /** Each is told once. */
  #trouble(reason: string): void {
    if (this.#troubles.has(reason)) return;
    this.#troubles.add(reason);
    this.#events.trouble(reason);
  }
}
