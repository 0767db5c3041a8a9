import { readdirSync, readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';

// What one start of a program needs for a moment (three pipes, both ends), and some for the rest of Node.
const reserve = 12;
const unlimited = 1 << 20;

/** How many descriptors connections may hold, so that this process never runs out of them. */
export class Descriptors {
  readonly limit: number = descriptorLimit();
  #capacity = 0;
  #held = 0;

  constructor() {
    this.measure();
  }

  get capacity(): number {
    return this.#capacity;
  }

  /** Counts what is open now, but for connections, as taken for good: again when the services stand. */
  measure(): void {
    this.#capacity = Math.max(4, this.limit - (openDescriptors() - this.#held) - reserve);
  }

  /** Counts what a connection holds until it is closed. */
  hold(connection: Duplex, count: number): void {
    this.#held += count;
    connection.once('close', () => (this.#held -= count));
  }

  /** Whether there is so much left that some may be spent on speed. */
  get hasRoom(): boolean {
    return this.capacity - this.#held > 2 * reserve;
  }

  /** Whether more is held than there is: the connection that made it so must go. */
  get isExceeded(): boolean {
    return this.#held > this.#capacity;
  }
}

// Node raises its soft limit to the hard one when it starts, so this is what the process has.
function descriptorLimit(): number {
  const text = procText('/proc/self/limits');
  const found = /^Max open files\s+(\d+)/m.exec(text)?.[1];
  if (found !== undefined) return Number(found);
  const report = process.report?.getReport() as { userLimits?: { open_files?: { soft?: unknown } } } | undefined;
  const soft = report?.userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : unlimited;
}

function openDescriptors(): number {
  try {
    return readdirSync('/dev/fd').length;
  } catch {
    return 32;
  }
}

function procText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
