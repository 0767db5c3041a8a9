/** The rules of ipcd: who may come in to a service, who may go out to one, and where it is (ipcd.rules(5)). */
import { nameToResolve, peerMatches, type AddressesOf, type Peer, type PeerPattern } from './peer.ts';
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
export interface TargetRule {
  readonly kind: 'redirect' | 'route';
  readonly service: string;
  readonly target: string;
  readonly text: string;
}

export type Rule = AccessRule | TargetRule;

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
export function findTarget(rules: readonly Rule[], kind: TargetRule['kind'], service: string): TargetRule | undefined {
  return rules.find((rule): rule is TargetRule => rule.kind === kind && wildcardMatches(rule.service, service));
}

/** Where a service leads, and by what. */
export interface Way {
  readonly target: string;
  /** The rule, or IPC_NETWORK; undefined: the service itself. */
  readonly by?: string;
}

/** One step, never a chain: `redirect`, the last item of the asker's IPC_NETWORK for this name, `route`, the service itself. */
export function route(rules: readonly Rule[], { service, network }: { readonly service: string; readonly network: string }): Way {
  const redirect = findTarget(rules, 'redirect', service);
  if (redirect) return { target: redirect.target, by: redirect.text };
  const wanted = networkTarget(network, service);
  if (wanted !== undefined) return { target: wanted, by: 'IPC_NETWORK' };
  const usual = findTarget(rules, 'route', service);
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
