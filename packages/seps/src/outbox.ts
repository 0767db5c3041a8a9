// What was written to a channel and is not sent yet.
import { firstWindowBytes, maxDataBytes } from '@dipus/proto/channel-frame';

const maxWindowBytes = 0x7fff_ffff;

export type Written = (error?: Error | null) => void;

/** Keeps what one write has given, in order, and how much of it the other side lets come. */
export class Outbox {
  #waiting: Buffer[] = [];
  #window = firstWindowBytes;
  #written: Written | undefined;

  /** Whether a DATA frame could be sent now. */
  get isReady(): boolean {
    return this.#waiting.length > 0 && this.#window > 0;
  }

  /** Takes the bytes of a write; `written` is called when the last of them is on its way, or thrown away. One write at a time. */
  put(chunks: readonly Buffer[], written: Written): void {
    this.#waiting = chunks.filter((chunk) => chunk.length > 0);
    this.#written = written;
    this.sent();
  }

  /** The other side lets so many bytes more come; false: more than it may. */
  grant(bytes: number): boolean {
    this.#window += bytes;
    return this.#window <= maxWindowBytes;
  }

  /** What the next DATA frame carries. */
  take(): { readonly pieces: readonly Buffer[]; readonly bytes: number } {
    const pieces: Buffer[] = [];
    let room = Math.min(maxDataBytes, this.#window);
    let bytes = 0;
    while (room > 0 && this.#waiting.length > 0) {
      const [first] = this.#waiting as [Buffer];
      const piece = first.subarray(0, room);
      if (piece.length === first.length) this.#waiting.shift();
      else this.#waiting[0] = first.subarray(room);
      pieces.push(piece);
      bytes += piece.length;
      room -= piece.length;
    }
    this.#window -= bytes;
    return { pieces, bytes };
  }

  /** What was taken is on its way. */
  sent(): void {
    if (this.#waiting.length === 0) this.#finish();
  }

  /** Throws away what waits. */
  clear(error?: Error): void {
    this.#waiting = [];
    this.#finish(error);
  }

  #finish(error?: Error): void {
    const written = this.#written;
    this.#written = undefined;
    written?.(error);
  }
}
