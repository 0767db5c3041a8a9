/** The words of a rule, and files of rules: ipcd.rules(5). */
import { linesOf, readLines, type LineFault } from './file-lines.ts';
import { parseTarget, TargetError } from './ipc-target.ts';
import { isName } from './name.ts';
import { parsePeerPattern, PeerError, type PeerPattern } from './peer.ts';
import { printable } from './printable.ts';
import type { AccessRule, TargetRule, Rule } from './rules.ts';

/** Numbers of users and groups by their names; undefined for what there is not. */
export interface Accounts {
  userId(name: string): number | undefined;
  groupId(name: string): number | undefined;
}

/** Words that are no rule; the message is the reason. */
export class RuleError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

const quoteHint = "quote '*', which the shell replaces by the names of files";

/** Reads the words of one rule. Throws RuleError. */
export function parseRule(words: readonly string[], accounts: Accounts): Rule {
  const [kind = '', ...rest] = words;
  const text = words.join(' ');
  if (kind === 'allow' || kind === 'deny') return { kind, ...parseAccess(rest, accounts), text };
  if (kind === 'redirect' || kind === 'route') return { kind, ...parseTargetRule(kind, rest), text };
  throw new RuleError(`${printable(kind)} is not allow, deny, redirect or route`);
}

/** Reads a file of rules: one a line, `#` begins a comment. */
export function parseRules(text: string, accounts: Accounts): { readonly rules: readonly Rule[]; readonly faults: readonly LineFault[] } {
  const { read, faults } = readLines(linesOf(text), RuleError, ({ content }) => {
    const words = content.replace(/\s#.*$/, '').trim();
    return parseRule(words.split(/\s+/), accounts);
  });
  return { rules: read, faults };
}

function parseAccess(words: readonly string[], accounts: Accounts): Pick<AccessRule, 'direction' | 'service' | 'peer' | 'by'> {
  const [direction, service, ...rest] = words;
  if (direction !== 'in' && direction !== 'out')
    throw new RuleError(direction === undefined ? 'neither in nor out is given' : `${printable(direction)} is neither in nor out`);
  if (service === undefined) throw new RuleError('no SERVICE is given');
  const peer = rest[0] === undefined || isBy(rest) ? undefined : rest.shift();
  const who = isBy(rest) ? rest.splice(0, 2)[1] : undefined;
  if (rest.length > 0) throw new RuleError(`${printable(rest[0]!)} is left over`, quoteHint);
  if (who !== undefined && direction === 'in') throw new RuleError('by goes only with out');
  return {
    direction,
    service: checkService(service),
    ...(peer !== undefined && { peer: readPattern(peer) }),
    ...(who !== undefined && { by: readWho(who, accounts) }),
  };
}

function isBy([first, second]: readonly string[]): boolean {
  return first === 'by' && second !== undefined;
}

function parseTargetRule(kind: 'redirect' | 'route', words: readonly string[]): Pick<TargetRule, 'service' | 'target'> {
  const [service, target, extra] = words;
  const what = kind === 'route' ? 'URI' : 'TARGET';
  if (service === undefined || target === undefined) throw new RuleError(`SERVICE and ${what} are not both given`);
  if (extra !== undefined) throw new RuleError(`${printable(extra)} is left over`, quoteHint);
  if (kind === 'route' && !/^[a-z][a-z0-9+-]*:\/\//.test(target)) throw new RuleError(`${printable(target)} is no URI`);
  checkTarget(target, what);
  return { service: checkService(service), target };
}

/** What could never be opened is no rule. */
function checkTarget(target: string, what: string): void {
  try {
    parseTarget(target);
  } catch (error) {
    if (error instanceof TargetError) throw new RuleError(`${what} ${printable(target)} ${error.message}`);
    throw error;
  }
}

function checkService(service: string): string {
  if (!isName(service.replaceAll('*', 'x'))) throw new RuleError(`SERVICE ${printable(service)} is no name`, quoteHint);
  return service;
}

function readPattern(text: string): PeerPattern {
  try {
    return parsePeerPattern(text);
  } catch (error) {
    if (error instanceof PeerError) throw new RuleError(error.message, quoteHint);
    throw error;
  }
}

function readWho(who: string, accounts: Accounts): { uid: number } | { gid: number } {
  const isGroup = who.startsWith('@');
  const id = isGroup ? accounts.groupId(who.slice(1)) : accounts.userId(who);
  if (id === undefined) throw new RuleError(`there is no ${isGroup ? 'group' : 'user'} ${printable(isGroup ? who.slice(1) : who)}`);
  return isGroup ? { gid: id } : { uid: id };
}
