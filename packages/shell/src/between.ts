import type { CommandNode } from 'unbash';
import { refusal } from './refusal.ts';

interface Way {
  readonly reason: string;
  readonly hint: string;
}

const inOneStage = (list: string): string => `in one stage: dpipes '(${list}) | c'`;

// What a shell takes for several pipelines, or for one that it does not wait for.
const lists: ReadonlyMap<string, Way> = new Map([
  ['&&', { reason: 'joins pipelines; there can be only one', hint: `dpipes 'a | b' && dpipes 'c'; ${inOneStage('a && b')}` }],
  ['||', { reason: 'joins pipelines; there can be only one', hint: `dpipes 'a | b' || dpipes 'c'; ${inOneStage('a || b')}` }],
  [';', { reason: 'ends the pipeline; there can be only one', hint: `dpipes 'a | b'; dpipes 'c'; ${inOneStage('a; b')}` }],
  ['&', { reason: 'would leave the pipeline in the background', hint: "leave dpipes itself there: dpipes 'a | b' &" }],
]);
const newline: Way = { reason: 'begins another pipeline; there can be only one', hint: `a line goes on behind |; ${inOneStage('a; b')}` };
const unread: Way = { reason: 'is part of no command', hint: "quote with '…' or \\ what is meant for a program" };

/**
 * Everything outside the stages must be blank, a comment, or the `|` between two of them; so nothing that the parser passes over gets lost.
 * Throws PipelineError.
 */
export function checkBetween(text: string, outside: string, commands: readonly CommandNode[]): void {
  const ends = commands.map(({ end }) => end);
  for (const [at, end] of [0, ...ends].entries()) {
    const isBetween = at > 0 && at < commands.length;
    const from = isBetween ? behindPipe(outside, end) : end;
    const pos = wordAfter(outside, from);
    if (pos < (commands[at]?.pos ?? text.length))
      throw listRefusal(text, { pos, from, isLast: wordAfter(outside, pos + 1) === text.length });
  }
}

function behindPipe(outside: string, from: number): number {
  const pipe = /(?:[ \t]|\\\n)*\|&?/y;
  pipe.lastIndex = from;
  return pipe.test(outside) ? pipe.lastIndex : from;
}

/** Where the next thing is that is neither blank nor a comment; the length of the text where there is none. */
function wordAfter(outside: string, from: number): number {
  const blank = /(?:[ \t\n]+|\\\n|#[^\n]*)*/y;
  blank.lastIndex = from;
  blank.test(outside);
  return blank.lastIndex;
}

function listRefusal(
  text: string,
  { pos, from, isLast }: { readonly pos: number; readonly from: number; readonly isLast: boolean },
): Error {
  const words = /^(?:&&|\|\||[;&|()<>]|[^\s;&|()<>]+)/.exec(text.slice(pos))?.[0] ?? text.slice(pos, pos + 1);
  const isOnNewLine = from > 0 && text.slice(from, pos).replaceAll('\\\n', '').includes('\n');
  if (words === ';' && isLast) return refusal(text, { pos, words, reason: 'ends the pipeline', hint: 'leave it out' });
  return refusal(text, { pos, words, ...(lists.get(words) ?? (isOnNewLine ? newline : unread)) });
}
