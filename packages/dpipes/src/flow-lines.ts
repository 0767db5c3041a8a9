import { size } from '@dipus/cli/size';
import type { StageFlow } from '@dipus/proto/pipe-link';

export interface FlowLinesOptions {
  readonly names: readonly string[];
  /** Whether the lines may be rewritten in place; otherwise only the last ones are shown. */
  readonly isTerminal: boolean;
  write(text: string): void;
}

const showEveryMs = 500;
const erase = '\u001b[K';

/** Shows how far each stage is, a line for each: `2 sort  120.0 MiB in, 0 B out, 12.0 MiB/s, slow`. */
export class FlowLines {
  readonly #options: FlowLinesOptions;
  readonly #began = Date.now();
  readonly #flows = new Map<number, StageFlow>();
  readonly #timer: NodeJS.Timeout | undefined;
  #shown = 0;

  constructor(options: FlowLinesOptions) {
    this.#options = options;
    if (options.isTerminal) this.#timer = setInterval(() => this.#show(true), showEveryMs).unref();
  }

  /** What a stage has said last; numbers begin with 1. */
  take(number: number, flow: StageFlow): void {
    this.#flows.set(number, flow);
  }

  /** The lines are taken away, for others to be written; they come again. */
  clear(): void {
    if (this.#shown > 0) this.#options.write(`\u001b[${this.#shown}A\r\u001b[J`);
    this.#shown = 0;
  }

  /** The last lines. */
  finish(): void {
    clearInterval(this.#timer);
    this.#show(false);
  }

  #show(isRunning: boolean): void {
    const seconds = Math.max(0.001, (Date.now() - this.#began) / 1000);
    const lines = this.#options.names.map((name, at) => lineOf(name, this.#flows.get(at + 1), { seconds, isRunning }));
    const ends = this.#options.isTerminal ? `${erase}\n` : '\n';
    this.clear();
    this.#options.write(lines.map((line) => `${line}${ends}`).join(''));
    this.#shown = this.#options.isTerminal ? lines.length : 0;
  }
}

function lineOf(name: string, flow: StageFlow | undefined, { seconds, isRunning }: { seconds: number; isRunning: boolean }): string {
  if (!flow) return `${name}  -`;
  const parts = [
    ...(flow.in === undefined ? [] : [`${size(flow.in)} in`]),
    ...(flow.out === undefined ? [] : [`${size(flow.out)} out`]),
    `${size(Math.max(flow.in ?? 0, flow.out ?? 0) / seconds)}/s`,
    ...(isRunning && flow.waits === 'program' ? ['slow'] : []),
  ];
  return `${name}  ${parts.join(', ')}`;
}
