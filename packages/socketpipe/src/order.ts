import { randomBytes } from 'node:crypto';
import { Failure } from '@dipus/proto/failure';
import type { Family } from './addresses.ts';
import type { PortRange } from './listen.ts';

/** The one line of JSON that the remote end reads from its stdin. */
export interface Order {
  readonly version: 1;
  /** 128 bits in hexadecimal: whoever shows to know them is the other end. */
  readonly token: string;
  readonly command: readonly string[];
  /** Where to call: a port that listens here; none: do not call. */
  readonly port?: number;
  /** The one host to call, as the user has named it. */
  readonly host?: string;
  /** Else: addresses of this host, behind the one that the remote end's login session tells. */
  readonly addresses: readonly string[];
  /** SSH_CONNECTION of this end: the same at the remote end tells nothing about the login. */
  readonly session?: string;
  readonly family: Family;
  /** Where the remote end may listen when it cannot call. */
  readonly ports: PortRange;
  /** How long each of the ways may take. */
  readonly wayMs: number;
  /** The remote end's stdin ends after the order; it does not mean that this end is gone. */
  readonly isBatch: boolean;
  readonly isVerbose: boolean;
}

export function newToken(): string {
  return randomBytes(16).toString('hex');
}

export function formatOrder(order: Order): string {
  return `${JSON.stringify(order)}\n`;
}

export function readOrder(line: string): Order {
  try {
    const order = JSON.parse(line) as Partial<Order> | null;
    if (order?.version === 1 && typeof order.token === 'string' && isArguments(order.command)) return order as Order;
  } catch {
    // The same failure as for JSON that is no order.
  }
  throw new Failure('read', 'what to run', 'not an order of this version of socketpipe');
}

function isArguments(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && value.every((word) => typeof word === 'string');
}

/** What the remote end says on its stdout while the way is being made; each at most once, but for `wait`. */
export type Notice =
  | { readonly kind: 'hello' }
  /** It could not call, and is to be called. */
  | { readonly kind: 'listening'; readonly port: number; readonly addresses: readonly string[] }
  /** From here on: frames. */
  | { readonly kind: 'carry' }
  /** Nothing new; that this cannot be written any more tells the remote end that it is alone. */
  | { readonly kind: 'wait' };

// Begins every notice; whatever stands before it in a line or in lines of their own comes from login scripts.
const magic = 'socketpipe-1-notice ';

export function formatNotice(notice: Notice): string {
  return `${magic}${JSON.stringify(notice)}\n`;
}

export function readNotice(line: string): Notice | undefined {
  const at = line.indexOf(magic);
  if (at === -1) return undefined;
  try {
    return JSON.parse(line.slice(at + magic.length)) as Notice;
  } catch {
    return undefined;
  }
}

/** The line on the remote end's stdin after which frames come; what a terminal has sent before is not for it. */
export function carryMarker(token: string): string {
  return `socketpipe-1-carry ${token}`;
}
