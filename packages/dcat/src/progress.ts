import { Transform } from 'node:stream';
import { size } from '@dipus/cli/size';

export interface ProgressOptions {
  /** Bytes to be sent, where that is known. */
  readonly totalBytes?: number;
  /** Whether a line may be rewritten in place; otherwise only the last one is shown. */
  readonly isTerminal: boolean;
  write(text: string): void;
}

const showEveryMs = 250;

/** Counts what is sent and received, and shows it: `12.3 MiB sent, 4.1 MiB received, 5.0 MiB/s, 0:02, 45 %, ETA 0:03`. */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #began = Date.now();
  readonly #timer: NodeJS.Timeout | undefined;
  #sent = 0;
  #received = 0;

  constructor(options: ProgressOptions) {
    this.#options = options;
    if (options.isTerminal) this.#timer = setInterval(() => options.write(`\r\u001b[K${this.#line(false)}`), showEveryMs).unref();
  }

  countInput(): Transform {
    return counter((bytes) => (this.#sent += bytes));
  }

  countOutput(): Transform {
    return counter((bytes) => (this.#received += bytes));
  }

  /** The last line. */
  finish(): void {
    clearInterval(this.#timer);
    this.#options.write(`${this.#options.isTerminal ? '\r\u001b[K' : ''}${this.#line(true)}\n`);
  }

  #line(isLast: boolean): string {
    const seconds = Math.max(0.001, (Date.now() - this.#began) / 1000);
    const rate = Math.max(this.#sent, this.#received) / seconds;
    const parts = [`${size(this.#sent)} sent`, `${size(this.#received)} received`, `${size(rate)}/s`, clock(seconds)];
    const total = this.#options.totalBytes;
    if (total !== undefined && total > 0) {
      parts.push(`${Math.min(100, Math.floor((this.#sent / total) * 100))} %`);
      if (!isLast && this.#sent > 0) parts.push(`ETA ${clock(((total - this.#sent) / this.#sent) * seconds)}`);
    }
    return parts.join(', ');
  }
}

function counter(count: (bytes: number) => void): Transform {
  return new Transform({
    transform(chunk: Buffer, _, done) {
      count(chunk.length);
      done(null, chunk);
    },
  });
}

function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, at) => (at === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}
