import { execFileSync } from 'node:child_process';
import { UsageError } from '@dipus/cli/errors';
import { parseTarget, TargetError } from '@dipus/proto/ipc-target';
import { parsePeer, PeerError, type Peer } from '@dipus/proto/peer';
import { parseRule, RuleError } from '@dipus/proto/rule-words';
import { route, type AccessRule, type Asker } from '@dipus/proto/rules';
import { groupId, userId } from '@dipus/tree/accounts';
import type { RuleBook } from './rule-book.ts';

/** What the rules say to a question that is written as they are. Throws UsageError. */
export async function explain(book: RuleBook, words: readonly string[]): Promise<{ line: string; isAllowed: boolean }> {
  const { direction, service, peer, by } = readQuestion(words);
  if (service.includes('*'))
    throw new UsageError('--explain asks for one SERVICE', "quote '*', which the shell replaces by the names of files");
  const isOut = direction === 'out';
  const leadsTo =
    peer === undefined && isOut ? parseTargetOf(route(await book.rules(), { service, network: '' }).target) : readPeer(peer?.text);
  const decision = await book.decide({ direction, service, peer: leadsTo, asker: isOut ? askerOf(by) : undefined });
  return { line: `${decision.isAllowed ? 'allow' : 'deny'}: ${decision.rule}\n`, isAllowed: decision.isAllowed };
}

function readQuestion(words: readonly string[]): AccessRule {
  try {
    return parseRule(['allow', ...words], { userId, groupId }) as AccessRule;
  } catch (error) {
    if (error instanceof RuleError) throw new UsageError(`--explain ${words.join(' ')}: ${error.message}`, error.hint);
    throw error;
  }
}

function readPeer(text: string | undefined): Peer | undefined {
  if (text === undefined || text === '*') return undefined;
  try {
    return parsePeer(text);
  } catch (error) {
    if (error instanceof PeerError) throw new UsageError(`--explain: ${error.message}`);
    throw error;
  }
}

function parseTargetOf(text: string): Peer {
  try {
    return parseTarget(text).peer;
  } catch (error) {
    if (error instanceof TargetError) throw new UsageError(`--explain: ${text} ${error.message}`);
    throw error;
  }
}

/** A user, or anybody of a group; without either, whoever runs this. */
function askerOf(by: AccessRule['by']): Asker {
  if (by === undefined) return { uid: process.geteuid!(), gids: [process.getegid!(), ...process.getgroups!()] };
  if ('gid' in by) return { uid: -1, gids: [by.gid] };
  return { uid: by.uid, gids: groupsOf(by.uid) };
}

function groupsOf(uid: number): number[] {
  try {
    return execFileSync('id', ['-G', String(uid)], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .trim()
      .split(' ')
      .map(Number);
  } catch {
    // A user without a passwd entry has no groups that anybody could know.
    return [];
  }
}
