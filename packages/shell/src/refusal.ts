import { printable } from '@dipus/proto/printable';

/** Text that is not one pipeline; the message is the reason and says where, the hint is the way out. */
export class PipelineError extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

/** What is wrong with the words that stand at a position of the text. */
export interface Fault {
  readonly pos: number;
  readonly words: string;
  readonly reason: string;
  readonly hint: string;
}

/** `WORDS at character N REASON`. */
export function refusal(text: string, { pos, words, reason, hint }: Fault): PipelineError {
  return new PipelineError(`${shortened(words)} at ${positionOf(text, pos)} ${reason}`, hint);
}

/** `character N`, or `line N, character N` where there are several lines; counted from 1, as people count. */
export function positionOf(text: string, pos: number): string {
  const lines = text.slice(0, pos).split('\n');
  const character = `character ${[...lines.at(-1)!].length + 1}`;
  return text.includes('\n') ? `line ${lines.length}, ${character}` : character;
}

/** Words of the text as they can be shown in a message. */
export function shortened(words: string): string {
  const characters = [...words];
  return printable(characters.length > 60 ? `${characters.slice(0, 60).join('')}…` : words);
}
