// What an exporter wants of the opener of a user, and what comes back (dexport(1), Permissions). Both are messages between processes of
// different rights: whoever reads one looks at all of it.
import type { JoinAnswer, JoinRequest } from '@dipus/seps/pairing';
import type { State } from '@dipus/tree/probe';
import type { Half } from './access.ts';

/** Looks at services, or opens one, named by the files of their plain sockets. */
export type Order =
  | { readonly id: number; readonly look: 'permission' | 'state'; readonly files: readonly string[] }
  | { readonly id: number; readonly open: Half; readonly file: string };

/** The same, of the user whose rights decide. */
export type UserOrder = Order & { readonly user: string };

/** Takes an invitation, which the keeper does itself. */
export interface PairOrder {
  readonly id: number;
  readonly pair: JoinRequest;
}

/** What has become of an order. An opened socket travels with its reply. */
export type Reply =
  | { readonly id: number; readonly states: readonly State[] }
  | { readonly id: number; readonly isOpen: true }
  | { readonly id: number; readonly joined: JoinAnswer }
  | { readonly id: number; readonly code?: string; readonly reason: string };

/** What an opener is told first: below which tree it opens, whose root that is, and whose sockets may be relied on. */
export interface OpenerTree {
  readonly root: string;
  readonly uid: number;
  readonly uids: readonly number[];
}

/** Reads an order; undefined where it is none. */
export function parseOrder(message: unknown): UserOrder | PairOrder | undefined {
  const { id, user, look, files, open, file, pair } = (message ?? {}) as Record<string, unknown>;
  if (typeof id !== 'number') return undefined;
  if (pair !== undefined) return isRequest(pair) ? { id, pair } : undefined;
  if (typeof user !== 'string') return undefined;
  if ((look === 'permission' || look === 'state') && isTexts(files)) return { id, user, look, files };
  if ((open === 'plain' || open === 'control') && typeof file === 'string') return { id, user, open, file };
  return undefined;
}

/** Reads a reply; undefined where it is none. */
export function parseReply(message: unknown): Reply | undefined {
  const { id, states, isOpen, joined, code, reason } = (message ?? {}) as Record<string, unknown>;
  if (typeof id !== 'number') return undefined;
  if (typeof joined === 'object' && joined !== null) return { id, joined: joined as JoinAnswer };
  if (isTexts(states)) return { id, states: states as State[] };
  if (isOpen === true) return { id, isOpen };
  if (typeof reason !== 'string') return undefined;
  return { id, reason, ...(typeof code === 'string' && { code }) };
}

function isRequest(value: unknown): value is JoinRequest {
  const { ekm, proof, name, pin } = (value ?? {}) as Record<string, unknown>;
  return isTexts([ekm, proof, name, pin]);
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}
