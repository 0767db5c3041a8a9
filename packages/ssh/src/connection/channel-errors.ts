import type { OpenFailure } from 'ssh2-streams/lib/ssh.js';

/** The other side opened no channel; `isForbidden`: whatever it would have led to. */
export class ChannelRefusal extends Error {
  readonly isForbidden: boolean;

  constructor({ reason, description }: OpenFailure) {
    super(description || reason || 'refused');
    this.isForbidden = reason === 'ADMINISTRATIVELY_PROHIBITED' || reason === 'UNKNOWN_CHANNEL_TYPE';
  }
}

/** For a write that nobody takes. */
export function brokenPipe(): Error {
  return Object.assign(new Error('the other side takes no more'), { code: 'EPIPE' });
}

/** For what was closed or lost before its end. */
export function lostError(reason: string): Error {
  return Object.assign(new Error(reason), { code: 'ECONNRESET' });
}
