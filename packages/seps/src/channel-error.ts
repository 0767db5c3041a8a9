import type { ResetReason } from '@dipus/proto/channel-frame';

/** A channel was reset by its other side, or its connection is lost: bytes may be missing. EAGAIN: there were too many. */
export class ChannelError extends Error {
  readonly code: string;
  readonly reason: ResetReason;

  constructor(reason: ResetReason, message: string) {
    super(message);
    this.name = 'ChannelError';
    this.code = reason === 'busy' ? 'EAGAIN' : 'ECONNRESET';
    this.reason = reason;
  }
}
