/** The rules of ipcd: who may come in to a service, who may go out to one, and where it is (ipcd.rules(5)). */
import { isName } from './name.ts';
import { nameToResolve, parsePeerPattern, PeerError, peerMatches, type AddressesOf, type Peer, type PeerPattern } from './peer.ts';
import { printable } from './printable.ts';
import { wildcardMatches } from './wildcard.ts';

export type Direction = 'in' | 'out';

/** `allow` and `deny`. */
export interface AccessRule {
  readonly kind: 'allow' | 'deny';
  readonly direction: Direction;
  readonly service: string;
  readonly peer?: PeerPattern;
  /** Whom it is about; everybody unless given. */
  readonly by?: { readonly uid: number } | { readonly gid: number };
  /** As it was written, with single blanks. */
  readonly text: string;
}

/** `redirect` and `route`: where a service is. */
export interface PlaceRule {
  readonly kind: 'redirect' | 'route';
  readonly service: string;
  readonly target: string;
  readonly text: string;
}

export type Rule = AccessRule | PlaceRule;

/** Numbers of users and groups by their names; undefined for what there is not. */
export interface Accounts {
  userId(name: string): number | undefined;
  groupId(name: string): number | undefined;
}

/** Whoever asks to go out. */
export interface Asker {
  readonly uid: number;
  readonly gids: readonly number[];
}

/** Whether somebody may come in from, or go out to, a peer for a service. */
export interface Question {
  readonly direction: Direction;
  /** The name that was asked for. */
  readonly service: string;
  /** Where it comes from, or where it leads; undefined matches only rules for every peer. */
  readonly peer?: Peer | undefined;
  /** Only of `out`. */
  readonly asker?: Asker | undefined;
}

export interface Decision {
  readonly isAllowed: boolean;
  /** No rule speaks of this direction: only what is exported may be used from elsewhere. */
  readonly isExportedOnly: boolean;
  /** The rule that has decided, or why without one. */
  readonly rule: string;
}

/** Words that are no rule; the message is the reason. */
export class RuleError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** A line of a file that is no rule. */
export interface BadLine {
  readonly line: number;
  readonly reason: string;
}

const quoteHint = "quote '*', which the shell replaces by the names of files";

/** Reads the words of one rule. Throws RuleError. */
export function parseRule(words: readonly string[], accounts: Accounts): Rule {
  const [kind = '', ...rest] = words;
  const text = words.join(' ');
  if (kind === 'allow' || kind === 'deny') return { kind, ...parseAccess(kind, rest, accounts), text };
  if (kind === 'redirect' || kind === 'route') return { kind, ...parsePlace(kind, rest), text };
  throw new RuleError(`${printable(kind)} is not allow, deny, redirect or route`);
}

/** Reads a file of rules: one a line, `#` begins a comment. */
export function parseRules(text: string, accounts: Accounts): { readonly rules: readonly Rule[]; readonly bad: readonly BadLine[] } {
  const rules: Rule[] = [];
  const bad: BadLine[] = [];
  for (const [at, line] of text.split('\n').entries()) {
    const words = line
      .replace(/(?:^|\s)#.*$/, '')
      .split(/\s+/)
      .filter(Boolean);
    if (words.length === 0) continue;
    try {
      rules.push(parseRule(words, accounts));
    } catch (error) {
      if (!(error instanceof RuleError)) throw error;
      bad.push({ line: at + 1, reason: error.message });
    }
  }
  return { rules, bad };
}

/**
 * The first rule that matches decides. Where none does, a direction of which any rule speaks is closed; else what is exported may be used
 * from elsewhere, and `ownUid` and root may go out.
 */
export function decide(
  rules: readonly Rule[],
  question: Question,
  { ownUid, addressesOf }: { ownUid: number; addressesOf: AddressesOf },
): Decision {
  const { direction, asker } = question;
  const speaking = rules.filter((rule): rule is AccessRule => isAccess(rule) && rule.direction === direction);
  const found = speaking.find((rule) => accessMatches(rule, question, addressesOf));
  if (found) return { isAllowed: found.kind === 'allow', isExportedOnly: false, rule: found.text };
  if (speaking.length > 0) return { isAllowed: false, isExportedOnly: false, rule: `no rule matches, and some speak of ${direction}` };
  if (direction === 'in') return { isAllowed: true, isExportedOnly: true, rule: 'no rule speaks of in: what is exported' };
  const isOwn = asker !== undefined && (asker.uid === 0 || asker.uid === ownUid);
  return {
    isAllowed: isOwn,
    isExportedOnly: false,
    rule: `no rule speaks of out: ${isOwn ? 'own user or root' : 'neither own user nor root'}`,
  };
}

/** The first `redirect` or `route` of a service. */
export function findPlace(rules: readonly Rule[], kind: PlaceRule['kind'], service: string): PlaceRule | undefined {
  return rules.find((rule): rule is PlaceRule => rule.kind === kind && wildcardMatches(rule.service, service));
}

/** Where a service leads, and by what. */
export interface Way {
  readonly target: string;
  /** The rule, or IPC_NETWORK; undefined: the service itself. */
  readonly by?: string;
}

/** One step, never a chain: `redirect`, the last item of the asker's IPC_NETWORK for this name, `route`, the service itself. */
export function route(rules: readonly Rule[], { service, network }: { readonly service: string; readonly network: string }): Way {
  const redirect = findPlace(rules, 'redirect', service);
  if (redirect) return { target: redirect.target, by: redirect.text };
  const wanted = networkTarget(network, service);
  if (wanted !== undefined) return { target: wanted, by: 'IPC_NETWORK' };
  const usual = findPlace(rules, 'route', service);
  return usual ? { target: usual.target, by: usual.text } : { target: service };
}

/** What IPC_NETWORK (`NAME URI;NAME URI…`) says of a service: its last item of that name. */
export function networkTarget(network: string, service: string): string | undefined {
  const items = network.split(';').map((item) => item.trim().split(/\s+/));
  return items.findLast((words) => words.length === 2 && words[0] === service)?.[1];
}

/** The names whose addresses decide() asks for. */
export function namesToResolve(rules: readonly Rule[]): readonly string[] {
  const patterns = rules.flatMap((rule) => (isAccess(rule) && rule.direction === 'in' && rule.peer ? [rule.peer] : []));
  return [...new Set(patterns.flatMap((pattern) => nameToResolve(pattern) ?? []))];
}

function isAccess(rule: Rule): rule is AccessRule {
  return rule.kind === 'allow' || rule.kind === 'deny';
}

function accessMatches({ service, peer, by }: AccessRule, question: Question, addressesOf: AddressesOf): boolean {
  if (!wildcardMatches(service, question.service)) return false;
  if (peer && peer.text !== '*' && !(question.peer && peerMatches(peer, question.peer, addressesOf))) return false;
  if (!by) return true;
  const { asker } = question;
  return asker !== undefined && ('uid' in by ? asker.uid === by.uid : asker.gids.includes(by.gid));
}

function parseAccess(
  kind: string,
  words: readonly string[],
  accounts: Accounts,
): Pick<AccessRule, 'direction' | 'service' | 'peer' | 'by'> {
  const [direction, service, ...rest] = words;
  if (direction !== 'in' && direction !== 'out') throw new RuleError(`${kind} ${printable(direction ?? '')}: neither in nor out`);
  if (service === undefined) throw new RuleError(`${kind} ${direction} names no SERVICE`);
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

function parsePlace(kind: 'redirect' | 'route', words: readonly string[]): Pick<PlaceRule, 'service' | 'target'> {
  const [service, target, extra] = words;
  if (service === undefined || target === undefined)
    throw new RuleError(`${kind} needs SERVICE and ${kind === 'route' ? 'URI' : 'TARGET'}`);
  if (extra !== undefined) throw new RuleError(`${printable(extra)} is left over`, quoteHint);
  if (kind === 'route' && !/^[a-z][a-z0-9+-]*:\/\//.test(target)) throw new RuleError(`${printable(target)} is no URI`);
  return { service: checkService(service), target };
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
