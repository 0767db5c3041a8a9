// What is below /.dpipesd/: questions to the dpipesd that is exported, over its plain socket (dpipesd(1), The API). No path of the tree
// begins with a dot.
import { request as ask, type IncomingMessage } from 'node:http';
import { parseUriAsk } from '@dipus/proto/uri';
import type { Exchange } from './exchange.ts';
import type { Exporter } from './exporter.ts';
import type { View } from './offers.ts';
import { notExported, Refusal } from './refusal.ts';

const prefix = '/.dpipesd';
const dpipesd = parseUriAsk('/dpipesd');
/** What of its answer is passed on. */
const passed = ['content-type', 'content-length', 'cache-control', 'allow'];

/** Whether a request is for it. */
export function isForApi(url: string): boolean {
  return url === prefix || url.startsWith(`${prefix}/`) || url.startsWith(`${prefix}?`);
}

/** Passes a question on and its answer back. Rejects with Refusal, before anything is written. */
export async function passToApi(exporter: Exporter, view: View, exchange: Exchange): Promise<void> {
  const { request, response, left } = exchange;
  if (request.method !== 'GET' && request.method !== 'HEAD')
    throw new Refusal(405, 'only GET and HEAD are known here', { Allow: 'GET, HEAD' });
  const offer = view.list(dpipesd).find(({ protocol, isForbidden }) => protocol === '' && !isForbidden);
  if (!offer) throw notExported();
  await exporter.options.rules?.(request.socket, offer);
  response.once('close', exporter.admit(request.socket, offer, 'plain'));
  const service = await exporter.connect(offer, undefined);
  const tellEnd = exporter.use(request.socket, offer, 'plain');
  response.once('close', () => {
    service.destroy();
    tellEnd({ result: response.writableFinished ? 'done' : 'broken' });
  });
  const asked = ask({
    createConnection: () => service,
    method: request.method,
    path: request.url,
    headers: { host: 'dpipesd', connection: 'close' },
  });
  asked.end();
  service.resume();
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    asked.once('response', resolve).once('error', () => reject(new Refusal(502, 'dpipesd tells nothing: start it with --api')));
  });
  if (left.aborted) return;
  response.writeHead(
    answer.statusCode ?? 502,
    Object.fromEntries(passed.flatMap((name) => (answer.headers[name] ? [[name, answer.headers[name]]] : []))),
  );
  answer.on('error', () => exchange.cut()).pipe(response);
}
