// Asks of programs of libipc, from their connection to the hand-over.
import type { Socket } from 'node:net';
import { peerCredentials } from '@dipus/descriptors/peer-credentials';
import { isExpected } from '@dipus/ipc/answer';
import type { Grounds } from '@dipus/ipc/local-target';
import { codeOf, Failure, reasonOf } from '@dipus/proto/failure';
import {
  headBytes,
  IpcFrameDecoder,
  lookupKind,
  maxAskBytes,
  parseIpcAsk,
  type Era,
  type IpcAsk,
  type IpcFrame,
} from '@dipus/proto/ipc-frame';
import { formatPeer } from '@dipus/proto/peer';
import type { Asker } from '@dipus/proto/rules';
import { timing } from '@dipus/proto/timing';
import { userName } from '@dipus/tree/accounts';
import { handOver, refuse } from './hand-over.ts';
import { openTarget } from './open-target.ts';
import { Denied, routeOut, type Log } from './routing.ts';
import type { RuleBook } from './rule-book.ts';

const maxUnfinished = 128;

export interface AsksOptions {
  readonly book: RuleBook;
  readonly grounds: Grounds;
  readonly log: Log;
}

export class Asks {
  readonly #options: AsksOptions;
  readonly #unfinished = new Map<Socket, number>();

  constructor(options: AsksOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#unfinished.size;
  }

  /** Answers a connection, which has not been read, and closes it. Never rejects. */
  async serve(client: Socket, era: Era): Promise<void> {
    const over = new AbortController();
    // Without a reason of its own each signal would make an error with a stack.
    const timer = setTimeout(() => over.abort('late'), timing.headMs);
    client
      .on('error', () => {})
      .once('close', () => {
        this.#unfinished.delete(client);
        clearTimeout(timer);
        over.abort('gone');
      });
    try {
      const asker = this.#enter(client);
      if (asker) await this.#answer(client, { era, asker, stop: over.signal });
      else client.destroy();
    } catch (error) {
      client.destroy();
      // It has gone; anything else is a bug, which must be seen.
      if (codeOf(error) === undefined) this.#options.log.warn(error);
    }
  }

  /** Whoever is at the other end; undefined where it has too many asks already. */
  #enter(client: Socket): Asker | undefined {
    const { uid, groups } = peerCredentials(client);
    this.#unfinished.set(client, uid);
    let count = 0;
    for (const each of this.#unfinished.values()) if (each === uid) count++;
    if (count <= maxUnfinished) return { uid, gids: groups };
    this.#options.log.explain(`refused ${userName(uid)}: too many unfinished asks`);
    return undefined;
  }

  async #answer(client: Socket, { era, asker, stop }: { era: Era; asker: Asker; stop: AbortSignal }): Promise<void> {
    const { book, grounds, log } = this.#options;
    const who = userName(asker.uid);
    let what = 'an ask';
    try {
      const ask = await readAsk(client, era, stop);
      if (!ask) return void client.destroy();
      what = ask.service;
      const target = await routeOut(book, { ...ask, asker }, log);
      if (target.kind === 'uri') what = formatPeer(target.peer);
      const opened = await openTarget(target, { grounds, era, stop });
      if (client.destroyed || stop.aborted) return void opened.destroy();
      handOver(client, era, opened);
    } catch (error) {
      if (client.destroyed) return;
      const reason = stop.aborted ? `not within ${timing.headMs / 1000} s` : whyNot(error);
      if (!(error instanceof Denied)) log.warn(`cannot open ${what} for ${who}: ${reason}`);
      refuse(client, era, reason);
    }
  }
}

/** Its reason in words. Throws what is a bug. */
function whyNot(error: unknown): string {
  if (error instanceof Failure) return reasonOf(error.cause);
  if (!(error instanceof Denied || isExpected(error))) throw error;
  return reasonOf(error);
}

/** The one ask of a connection; undefined where it ends or is late before that. Rejects with Denied and IpcFrameError. */
function readAsk(client: Socket, era: Era, stop: AbortSignal): Promise<IpcAsk | undefined> {
  const decoder = new IpcFrameDecoder(era, maxAskBytes + headBytes[era]);
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      stop.removeEventListener('abort', ended);
      client.off('data', take).off('end', ended);
      act();
    };
    const ended = (): void => settle(() => resolve(undefined));
    const take = (bytes: Buffer): void => {
      try {
        const [frame] = decoder.push(bytes);
        if (frame) settle(() => resolve(checkAsk(frame, era)));
      } catch (error) {
        settle(() => reject(error instanceof Error ? error : new Error(String(error))));
      }
    };
    stop.addEventListener('abort', ended);
    client.on('data', take).once('end', ended);
    client.resume();
  });
}

function checkAsk(frame: IpcFrame, era: Era): IpcAsk {
  const isLookup = era === 'zig' || (frame.type === lookupKind.type && frame.userType === lookupKind.userType);
  const ask = isLookup ? parseIpcAsk(frame.payload) : undefined;
  if (!ask) throw new Denied('it is no ask for a service');
  return ask;
}
