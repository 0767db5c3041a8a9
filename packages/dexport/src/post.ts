// POST and PUT: the body through a service, its output as the answer.
import type { Exit } from '@dipus/proto/control';
import { reasonOf } from '@dipus/proto/failure';
import { servicePath } from '@dipus/proto/name';
import { printable } from '@dipus/proto/printable';
import { exitTrailer, sepVersion, versionHeader } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import type { Exchange } from './exchange.ts';
import type { Exporter } from './exporter.ts';
import type { Offer } from './offers.ts';
import { openPiped, type PipedService } from './piped-service.ts';
import { readAway, Refusal } from './refusal.ts';
import { Streams } from './streams.ts';

/**
 * Pipes a request through a service. Rejects with Refusal before anything is answered: also where the program fails without output. A
 * program that fails later, and a stream that breaks, end without the last chunk; only whoever takes trailers is told of the status.
 */
export async function pipeThrough(exporter: Exporter, offer: Offer, exchange: Exchange): Promise<void> {
  exchange.request.socket.setKeepAlive(true, timing.keepAliveMs);
  const { rules } = exporter.options;
  if (rules) await rules(exchange.request.socket, offer);
  const end = exporter.admit(exchange.request.socket, offer, 'post');
  const piped = pipe(exporter, offer, exchange).finally(end);
  exporter.streams.add({ ended: piped, break: () => exchange.leave() });
  await piped;
}

async function pipe(exporter: Exporter, offer: Offer, exchange: Exchange): Promise<void> {
  const { request, response, left } = exchange;
  const service = await openPiped(exporter, offer, left);
  const takesTrailers = service.session !== undefined && /\btrailers\b/i.test(String(request.headers['te'] ?? ''));
  const begin = (): void => {
    if (response.headersSent) return;
    const headers = { 'Content-Type': 'application/octet-stream', [versionHeader]: sepVersion };
    response.writeHead(200, takesTrailers ? { ...headers, Trailer: exitTrailer } : headers);
  };
  const streams = new Streams(exchange, service.data, begin);
  const tellEnd = exporter.use(request.socket, offer, 'post');
  const why = await failureOf(service, streams, { left, takesTrailers });
  tellEnd({ result: why ? 'broken' : 'done', exit: await knownExit(service), ...streams.bytes });
  if (why !== undefined) {
    // The program is stopped first; it must not take the cut body for a whole one.
    service.session?.close();
    streams.hold(service.session !== undefined);
    if (left.aborted) return void response.destroy();
    if (!response.headersSent) throw new Refusal(why.status, `${servicePath(offer)}: ${why.reason}`);
    return exchange.cut();
  }
  streams.close();
  begin();
  const exit = takesTrailers ? await exitOf(service) : undefined;
  if (exit) response.addTrailers({ [exitTrailer]: 'code' in exit ? `code ${exit.code}` : `signal ${exit.signal}` });
  response.end();
  if (!request.complete) readAway(request, request.socket, timing.lingerMs);
}

interface Fault {
  readonly status: number;
  readonly reason: string;
}

/** Waits for the end of the answer and of the program. Undefined: all is well, or whoever asks looks at the status. */
async function failureOf(
  service: PipedService,
  streams: Streams,
  { left, takesTrailers }: { left: AbortSignal; takesTrailers: boolean },
): Promise<Fault | undefined> {
  const gone = new Promise<Fault>((resolve) => {
    left.addEventListener('abort', () => resolve({ status: 400, reason: 'the client has gone' }));
  });
  const lost = service.outcome.then((outcome) => {
    if ('exit' in outcome) return new Promise<never>(() => {});
    return { status: 502, reason: reasonOf('error' in outcome ? outcome.error.reason : outcome.lost) };
  });
  const fault = await Promise.race([streams.answered, lost, gone]);
  if (fault || !service.session) return fault ?? undefined;
  const exit = await Promise.race([exitOf(service), lost, gone]);
  if ('reason' in exit) return exit;
  if (takesTrailers || ('code' in exit && exit.code === 0)) return undefined;
  const how = 'code' in exit ? `ended with ${exit.code}` : `was killed by ${exit.signal}`;
  return { status: 500, reason: [how, printable(service.lastWords())].filter((text) => text !== '').join(': ') };
}

/** The status, if the program has ended. */
async function knownExit({ outcome }: PipedService): Promise<Exit | undefined> {
  const result = await Promise.race([outcome, Promise.resolve(undefined)]);
  return result && 'exit' in result ? result.exit : undefined;
}

async function exitOf({ outcome }: PipedService): Promise<Exit> {
  const result = await outcome;
  return 'exit' in result ? result.exit : new Promise<never>(() => {});
}
