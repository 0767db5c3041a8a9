// What stands in WELCOME's place, and what a pairing answers (sep(5), Channels; dipus-keys(7)): both sides know the reason by its words.
import type { Pin } from '@dipus/proto/pin';

const aboutKey = 'this key';
const aboutRoom = 'busy';

export const withoutKey = 'show a key';
export const noInvitation = 'no such invitation';
export const tooManyConnections: string = `${aboutRoom}: too many connections`;
export function notAuthorisedHere(pin: Pin): string {
  return `${aboutKey} is not authorised here: ${pin}`;
}
export function notAuthorisedAnyMore(pin: Pin): string {
  return `${aboutKey} is not authorised any more: ${pin}`;
}

/** Which error of the system a refusal is: EACCES where it is about the key, EAGAIN where it may be asked again; else undefined. */
export function codeOfRefusal(text: string): 'EACCES' | 'EAGAIN' | undefined {
  if (text === withoutKey || text.startsWith(aboutKey)) return 'EACCES';
  return text.startsWith(aboutRoom) ? 'EAGAIN' : undefined;
}
