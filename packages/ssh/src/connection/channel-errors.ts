import { systemError } from '@dipus/proto/failure';
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
  return systemError('EPIPE', 'the other side takes no more');
}

/** For what was closed or lost before its end. */
export function lostError(reason: string): Error {
  return systemError('ECONNRESET', reason);
}
