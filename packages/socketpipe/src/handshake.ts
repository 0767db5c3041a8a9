import { createHmac, timingSafeEqual } from 'node:crypto';

// The first bytes on every connection, before any data. The calling end speaks first and waits for the answer:
//
//   call     "socketpipe " role " " nonce(32 hex) " " mac(32 hex) "\n"        role: c control, d data
//   answer   mac(32 hex) "\n"
//
// The token itself never crosses the network: each end shows a MAC of it, so that a host called by mistake learns nothing with which it
// could play either end. The two connections of a session carry the same nonce.

export type Role = 'c' | 'd';

export interface Call {
  readonly role: Role;
  readonly nonce: string;
}

export const callBytes: number = 'socketpipe x '.length + 32 + 1 + 32 + 1;
export const answerBytes = 33;

/** What the calling end says. */
export function formatCall(token: string, call: Call): string {
  return `socketpipe ${call.role} ${call.nonce} ${macOf(token, 'call', call)}\n`;
}

/** The call, if it is whole and shows the token; undefined for whatever a stranger says. */
export function readCall(token: string, bytes: Buffer): Call | undefined {
  const match = /^socketpipe ([cd]) ([0-9a-f]{32}) [0-9a-f]{32}\n$/.exec(bytes.toString('latin1'));
  if (!match) return undefined;
  const call = { role: match[1] as Role, nonce: match[2]! };
  return isSame(bytes, formatCall(token, call)) ? call : undefined;
}

/** What the listening end answers to a call that it has accepted. */
export function formatAnswer(token: string, call: Call): string {
  return `${macOf(token, 'answer', call)}\n`;
}

/** Whether the answer comes from somebody who knows the token. */
export function isAnswer(token: string, call: Call, bytes: Buffer): boolean {
  return isSame(bytes, formatAnswer(token, call));
}

function macOf(token: string, direction: 'call' | 'answer', call: Call): string {
  return createHmac('sha256', token).update(`${direction} ${call.role} ${call.nonce}`).digest('hex').slice(0, 32);
}

function isSame(bytes: Buffer, text: string): boolean {
  const expected = Buffer.from(text, 'latin1');
  return bytes.length === expected.length && timingSafeEqual(bytes, expected);
}
