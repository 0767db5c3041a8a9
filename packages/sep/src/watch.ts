// A watch of what an exporter offers.
import type { IncomingMessage } from 'node:http';
import type { Ask } from '@dipus/proto/ask';
import { Failure } from '@dipus/proto/failure';
import type { RemoteEvents, WatchResult } from '@dipus/proto/remote';
import { askTarget, maxLineBytes, parseWatchEvent } from '@dipus/proto/sep';
import { socketsSeen } from '@dipus/proto/sockets-seen';
import { timing } from '@dipus/proto/timing';
import { formatAddress, type ExporterAddress } from './address.ts';
import { exported } from './list.ts';
import { get } from './request.ts';

/** Two pings, and some time for the second to come. */
const silences = 2.1;

/** Watches until the connection is lost, or `stop` aborts (resolves with undefined then). Rejects with Failure where it cannot begin. */
export async function watchServices(
  host: ExporterAddress,
  ask: Ask,
  events: RemoteEvents,
  stop: AbortSignal,
): Promise<WatchResult | undefined> {
  const answer = await get(host, `${askTarget(ask)}?watch`, 'application/x-ndjson');
  if (stop.aborted) return void answer.destroy();
  return new Promise((resolve) => {
    const finish = (reason: unknown, isSilent = false): void => {
      clearTimeout(timer);
      stop.removeEventListener('abort', stopped);
      answer.removeAllListeners('data').destroy();
      resolve(stop.aborted ? undefined : { isSilent, cause: new Failure('watch', formatAddress(host), reason) });
    };
    const stopped = (): void => finish('stopped');
    let heard = 0;
    const silent = async (): Promise<void> => {
      const before = heard;
      await socketsSeen();
      if (heard === before) finish(`silent for ${Math.round((timing.pingMs * silences) / 1000)} s`, true);
    };
    const timer = setTimeout(() => void silent(), timing.pingMs * silences);
    stop.addEventListener('abort', stopped);
    const lines = new Lines((line) => tell(line, events));
    answer.on('data', (chunk: Buffer) => {
      heard++;
      timer.refresh();
      if (!lines.push(chunk)) finish(`it sent a line longer than ${maxLineBytes} bytes`);
    });
    watchEnd(answer, finish);
  });
}

function watchEnd(answer: IncomingMessage, finish: (reason: unknown, isSilent?: boolean) => void): void {
  answer.on('error', (error) => finish((error as NodeJS.ErrnoException).code === 'ETIMEDOUT' ? error : 'it closed the connection'));
  answer.on('end', () => finish('it closed the connection'));
  answer.on('close', () => finish('it closed the connection'));
}

function tell(line: string, events: RemoteEvents): void {
  const event = parseWatchEvent(line);
  if (event === undefined) return events.trouble('it sent a line that is no event');
  if (event === 'unknown') return events.trouble('it names something that is no service');
  if (event.event === 'add') return events.added(exported(event.service));
  if (event.event === 'remove') return events.removed(event.path);
  if (event.event === 'ready') events.ready();
}

/** Cuts a stream into lines. */
class Lines {
  readonly #take: (line: string) => void;
  #rest: Buffer[] = [];
  #restBytes = 0;

  constructor(take: (line: string) => void) {
    this.#take = take;
  }

  /** False: a line is too long. */
  push(chunk: Buffer): boolean {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      const line = Buffer.concat([...this.#rest, chunk.subarray(from, end)]);
      if (line.length > maxLineBytes) return false;
      this.#rest = [];
      this.#restBytes = 0;
      this.#take(line.toString());
      from = end + 1;
    }
    if (from < chunk.length) this.#rest.push(chunk.subarray(from));
    this.#restBytes += chunk.length - from;
    return this.#restBytes <= maxLineBytes;
  }
}
