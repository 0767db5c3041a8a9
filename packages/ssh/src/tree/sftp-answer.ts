// What an SFTP server answers, and what it may not answer.
import { reply, SftpFormatError, status, type Payload } from './sftp-packet.ts';

const maxReason = 200;
const knownStatus: Partial<Record<number, { readonly code: 'ENOENT' | 'EACCES'; readonly reason: string }>> = {
  [status.noSuchFile]: { code: 'ENOENT', reason: 'no such file or directory' },
  [status.permissionDenied]: { code: 'EACCES', reason: 'permission denied' },
};

/** The other side did not do what was asked; `code` as the remote system would name it, where that is known. */
export class SftpError extends Error {
  readonly code: 'ENOENT' | 'EACCES' | undefined;

  constructor(number: number, text: string) {
    const known = knownStatus[number];
    super(known?.reason ?? (text.slice(0, maxReason).toLowerCase() || 'failure'));
    this.code = known?.code;
  }
}

/** Nothing more comes by this channel: it was lost, fell silent, or does not speak SFTP. The message is the reason. */
export class SftpLost extends Error {}

/** There is no more of what was read by a handle. */
export class EndOfFile extends SftpError {
  constructor() {
    super(status.endOfFile, 'end of file');
  }
}

export interface Answer {
  readonly type: number;
  readonly payload: Payload;
}

/** An answer that is asked for, and what it tells. */
export interface Wanted<T> {
  readonly type: number;
  read(payload: Payload): T;
}

export const granted: Wanted<void> = { type: reply.status, read: () => {} };

/** The answer that was asked for. Throws SftpError for another one that may come, SftpFormatError for what may not. */
export function readAnswer<T>({ type, payload }: Answer, wanted: Wanted<T>): T {
  if (type === wanted.type && type !== reply.status) return wanted.read(payload);
  if (type !== reply.status) throw new SftpFormatError('it answered what was not asked');
  const number = payload.u32();
  if (number === status.endOfFile) throw new EndOfFile();
  if (number === status.ok && wanted.type === reply.status) return wanted.read(payload);
  throw new SftpError(number, payload.isAtEnd ? '' : payload.text());
}
