// What all WebSockets of this program have in common.
import type * as ws from 'ws';
import { timing } from '@dipus/proto/timing';
import { maxMessageBytes } from './subprotocol.ts';

/** The library, which is loaded when it is first wanted. */
export function loadWs(): Promise<typeof ws> {
  return import('ws');
}

const maxFragments = 16_384;

export interface WebOptions {
  readonly perMessageDeflate: false;
  readonly maxPayload: number;
  readonly maxFragments: number;
  /** From our Close to the end of the connection, where the other side does not answer it. */
  readonly closeTimeout: number;
}

export function webOptions(): WebOptions {
  return { perMessageDeflate: false, maxPayload: maxMessageBytes, maxFragments, closeTimeout: timing.graceMs };
}
