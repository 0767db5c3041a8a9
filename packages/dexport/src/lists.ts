// GET without an upgrade: what is offered, once or as it changes.
import { answer } from '@dipus/proto/ask';
import { servicePath } from '@dipus/proto/name';
import { describeService, formatWatchEvent, sepVersion, versionHeader } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import type { Exchange } from './exchange.ts';
import type { Offer, Offers } from './offers.ts';
import { checkVersion, type Target } from './target.ts';

// A watcher that lets so much wait does not read any more.
const maxUnreadBytes = 16 << 20;

export function answerList(offers: Offers, { ask }: Target, { request, response }: Exchange): void {
  const found = offers.list(ask);
  const isJson = /\bapplication\/json\b/.test(request.headers.accept ?? '');
  const body = isJson ? `${JSON.stringify(found.map(describeService))}\n` : found.map((offer) => `${servicePath(offer)}\n`).join('');
  response.writeHead(200, {
    'Content-Type': isJson ? 'application/json' : 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    [versionHeader]: sepVersion,
  });
  response.end(body);
}

/** Tells of every service there is and of each change until the client goes. Returns how to end it. Throws Refusal. */
export function answerWatch(offers: Offers, { ask }: Target, exchange: Exchange): () => void {
  const { request, response } = exchange;
  checkVersion(request);
  request.socket.setKeepAlive(true, timing.keepAliveMs);
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Cache-Control': 'no-store', [versionHeader]: sepVersion });
  const send = (text: string): void => {
    response.write(text);
    if (response.writableLength > maxUnreadBytes) response.destroy();
  };
  const isWanted = (offer: Offer): boolean => answer(ask, offer) !== undefined;
  const all = offers
    .list(ask)
    .filter(({ isForbidden }) => !isForbidden)
    .map((offer) => formatWatchEvent({ event: 'add', service: offer }));
  send(`${all.join('')}${formatWatchEvent({ event: 'ready' })}`);
  const unsubscribe = offers.subscribe({
    added: (offer) => isWanted(offer) && send(formatWatchEvent({ event: 'add', service: offer })),
    removed: (offer) => isWanted(offer) && send(formatWatchEvent({ event: 'remove', path: servicePath(offer) })),
  });
  const sendPing = (): void => send(formatWatchEvent({ event: 'ping' }));
  exchange.knock = sendPing;
  const ping = setInterval(sendPing, timing.pingMs);
  response.once('close', () => {
    clearInterval(ping);
    unsubscribe();
  });
  return () => void response.end();
}
