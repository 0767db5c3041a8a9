// Where an ask leads, and whether it may.
import { userName } from '@dipus/tree/accounts';
import { parseTarget, TargetError, type IpcTarget } from '@dipus/proto/ipc-target';
import { formatPeer, type Peer } from '@dipus/proto/peer';
import { route, type Asker, type Direction } from '@dipus/proto/rules';
import type { RuleBook } from './rule-book.ts';

export interface OutAsk {
  readonly service: string;
  readonly network: string;
  readonly asker: Asker;
}

/** It may not be: the message is what whoever asked is told. */
export class Denied extends Error {}

/** What is told of the asks. */
export interface Log {
  /** Always told: a refusal, in one line, or a bug. */
  warn(news: unknown): void;
  explain(line: string): void;
}

/** Rejects with Denied, which has been told of in the log. */
export async function routeOut(book: RuleBook, { service, network, asker }: OutAsk, log: Log): Promise<IpcTarget> {
  const way = route(await book.rules(), { service, network });
  const target = readTarget(way.target, (reason) => log.warn(`deny out ${service} ${way.target} by ${userName(asker.uid)}: ${reason}`));
  const { isAllowed, rule } = await book.decide({ direction: 'out', service, peer: target.peer, asker });
  const line = `${lineOf('out', service, target.peer)} by ${userName(asker.uid)}`;
  if (!isAllowed) {
    log.warn(`deny ${line}: ${rule}`);
    throw new Denied('not allowed');
  }
  log.explain(`allow ${line}: ${rule}${way.by === undefined ? '' : `; by ${way.by}`}`);
  return target;
}

function readTarget(text: string, refused: (reason: string) => void): IpcTarget {
  try {
    return parseTarget(text);
  } catch (error) {
    if (!(error instanceof TargetError)) throw error;
    refused(`the target ${error.message}`);
    throw new Denied(`the target ${error.message}`);
  }
}

export function lineOf(direction: Direction, service: string, peer: Peer): string {
  return `${direction} ${service} ${formatPeer(peer)}`;
}
