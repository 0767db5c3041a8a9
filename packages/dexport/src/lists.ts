// GET without an upgrade: what is offered, once or as it changes.
import { answer } from '@dipus/proto/ask';
import { servicePath } from '@dipus/proto/name';
import { describeService, formatWatchEvent, sepVersion, versionHeader } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import type { Backlog } from './backlog.ts';
import type { Exchange } from './exchange.ts';
import type { Offer, View } from './offers.ts';
import { checkVersion, type Target } from './target.ts';

// What is said of an offer is the same text for all clients: thousands may wait for it.
const pathLine = remembered((offer) => `${servicePath(offer)}\n`);
const objectText = remembered((offer) => JSON.stringify(describeService(offer)));
const furtherObject = remembered((offer) => `,${objectText(offer)}`);
const addLine = remembered((service) => formatWatchEvent({ event: 'add', service }));
const removeLine = remembered((offer) => formatWatchEvent({ event: 'remove', path: servicePath(offer) }));

function remembered(print: (offer: Offer) => string): (offer: Offer) => string {
  const known = new WeakMap<Offer, string>();
  return (offer) => {
    const text = known.get(offer) ?? print(offer);
    known.set(offer, text);
    return text;
  };
}

/** What lists and watches stand on. */
export interface Lists {
  readonly view: View;
  readonly backlog: Backlog;
}

export function answerList({ view, backlog }: Lists, { ask }: Target, { request, response }: Exchange): void {
  const found = view.list(ask).filter(({ isForbidden }) => !(isForbidden && view.hidesForbidden));
  const isJson = /\bapplication\/json\b/.test(request.headers.accept ?? '');
  const lines = isJson ? jsonOf(found) : found.map(pathLine);
  response.writeHead(200, {
    'Content-Type': isJson ? 'application/json' : 'text/plain; charset=utf-8',
    'Content-Length': lines.reduce((sum, line) => sum + Buffer.byteLength(line), 0),
    [versionHeader]: sepVersion,
  });
  if (request.method === 'HEAD') response.end();
  else backlog.list(response, lines);
}

function jsonOf([first, ...others]: readonly Offer[]): string[] {
  return ['[', ...(first ? [objectText(first), ...others.map(furtherObject)] : []), ']\n'];
}

/** Tells of every service there is and of each change until the client goes. Returns how to end it. Throws Refusal. */
export function answerWatch({ view, backlog }: Lists, { ask }: Target, exchange: Exchange): () => void {
  const { request, response } = exchange;
  checkVersion(request);
  request.socket.setKeepAlive(true, timing.keepAliveMs);
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store', [versionHeader]: sepVersion });
  const isWanted = (offer: Offer): boolean => answer(ask, offer) !== undefined;
  const open = view.list(ask).filter(({ isForbidden }) => !isForbidden);
  const reader = backlog.watch(response, [...open.map(addLine), formatWatchEvent({ event: 'ready' })]);
  const unsubscribe = view.subscribe({
    added: (offer) => isWanted(offer) && reader.send(addLine(offer)),
    removed: (offer) => isWanted(offer) && reader.send(removeLine(offer)),
  });
  const sendPing = (): void => reader.send(formatWatchEvent({ event: 'ping' }));
  exchange.knock = sendPing;
  const ping = setInterval(sendPing, timing.pingMs);
  response.once('close', () => {
    clearInterval(ping);
    unsubscribe();
  });
  return () => reader.end();
}
