// Each request to what answers it.
import type { Socket } from 'node:net';
import { isForApi, passToApi } from './api-route.ts';
import { Backlog } from './backlog.ts';
import type { Exchange } from './exchange.ts';
import type { Exporter } from './exporter.ts';
import { peerOf } from './connected-peer.ts';
import { answerList, answerWatch, type Lists } from './lists.ts';
import { pipeThrough } from './post.ts';
import { notExported, refuse, Refusal } from './refusal.ts';
import { checkBody, checkHost, checkOneHost, checkOrigin, checkVersion, readTarget } from './target.ts';
import type { UpgradeHead } from './upgrade-head.ts';
import { Upgrades } from './upgrade.ts';

/** Answers for an exporter. Whatever goes wrong with a request becomes its refusal. */
export class Answers {
  readonly exporter: Exporter;
  readonly #upgrades: Upgrades;
  readonly #backlog: Backlog;
  readonly #watches = new Set<() => void>();

  constructor(exporter: Exporter) {
    this.exporter = exporter;
    this.#upgrades = new Upgrades(exporter);
    this.#backlog = new Backlog(({ req }, what) => exporter.explain(req.socket, what));
  }

  async answer(exchange: Exchange): Promise<void> {
    const { request, response } = exchange;
    try {
      await this.#route(exchange);
    } catch (error) {
      const refusal = this.refusalOf(error);
      this.exporter.explain(request.socket, `refused ${request.method} ${request.url}: ${refusal.status} ${refusal.message}`);
      if (exchange.left.aborted) return;
      if (response.headersSent) response.destroy();
      else refuse(request, response, refusal);
    }
  }

  /** Takes the connection over. Rejects before anything is written. */
  async upgrade(request: UpgradeHead, socket: Socket): Promise<void> {
    await this.#upgrades.upgrade(request, socket);
  }

  /** Ends what would never end by itself. */
  endWatches(): void {
    for (const end of this.#watches) end();
  }

  refusalOf(error: unknown): Refusal {
    if (error instanceof Refusal) return error;
    this.exporter.options.warn(error);
    return new Refusal(500, 'internal error');
  }

  async #route(exchange: Exchange): Promise<void> {
    const { request, response } = exchange;
    const { options } = this.exporter;
    checkOrigin(request);
    // No web page has a key.
    if (peerOf(request.socket)) checkOneHost(request);
    else checkHost(request, options.isOwnName);
    const { url = '' } = request;
    const target = isForApi(url) ? undefined : readTarget(url);
    this.exporter.explain(request.socket, `${request.method} ${url}`);
    const view = await this.exporter.viewOf(request.socket);
    if (!target) return passToApi(this.exporter, view, exchange);
    switch (request.method) {
      case 'GET':
      case 'HEAD': {
        const lists: Lists = { view, backlog: this.#backlog };
        if (!target.isWatch || request.method === 'HEAD') return answerList(lists, target, exchange);
        const end = answerWatch(lists, target, exchange);
        this.#watches.add(end);
        response.once('close', () => this.#watches.delete(end));
        return;
      }
      case 'POST':
      case 'PUT': {
        checkVersion(request);
        checkBody(request);
        const offers = target.isWatch ? [] : view.list(target.ask);
        const offer = offers.find(({ isForbidden }) => !isForbidden) ?? offers[0];
        if (!offer) throw notExported();
        return pipeThrough(this.exporter, offer, exchange);
      }
      default:
        throw new Refusal(405, 'only GET, HEAD, POST and PUT are known', { Allow: 'GET, HEAD, POST, PUT' });
    }
  }
}
