// The file of dipusd: a tool with its options a line, `-NAME` to leave one out that would run otherwise.
import { linesOf, readLines, type FileLine, type LineFault } from '@dipus/proto/file-lines';

/** One program to run. */
export interface JobPart {
  readonly tool: string;
  readonly args: readonly string[];
}

/** Programs that are started and ended together, each reading what the one before it prints. */
export interface JobLine {
  readonly parts: readonly JobPart[];
}

export interface JobFile {
  readonly jobs: readonly JobLine[];
  readonly leftOut: readonly LeftOut[];
  readonly faults: readonly LineFault[];
}

/** A tool that is left out, and the line that says so. */
export interface LeftOut {
  readonly line: number;
  readonly tool: string;
}

class LineError extends Error {}

/** Reads the file. Empty lines and those beginning with `#` are passed over; one that is not understood comes beside the others. */
export function parseJobFile(text: string): JobFile {
  const seen = new Map<string, number>();
  const { read, faults } = readLines(linesOf(text), LineError, ({ line, content }: FileLine): JobLine | LeftOut => {
    const [, tool] = /^\s*-(\S+)\s*$/.exec(content) ?? [];
    if (tool !== undefined) return { line, tool };
    const job = parseJobLine(content);
    const before = seen.get(JSON.stringify(job));
    if (before !== undefined) throw new LineError(`the same as line ${before}`);
    seen.set(JSON.stringify(job), line);
    return job;
  });
  return { jobs: read.filter((one) => 'parts' in one), leftOut: read.filter((one) => 'tool' in one), faults };
}

/** Reads `TOOL [ARGUMENT...] [| TOOL [ARGUMENT...]]...`. Throws LineError. */
function parseJobLine(content: string): JobLine {
  const parts: JobPart[] = [];
  let words: string[] = [];
  const endPart = (): void => {
    const [tool, ...args] = words;
    if (tool === undefined || tool === '') throw new LineError('a tool is missing beside |');
    if (tool.startsWith('-')) throw new LineError(`${tool} is no tool; -NAME stands alone on its line`);
    parts.push({ tool, args });
    words = [];
  };
  for (const token of tokensOf(content)) {
    if (token === pipe) endPart();
    else words.push(token);
  }
  endPart();
  return { parts };
}

const pipe = Symbol('|');

/** Words as sh(1) quotes them, without anything that is put in their place. Throws LineError. */
function* tokensOf(content: string): Generator<string | typeof pipe> {
  // A part of a word in single quotes, in double quotes, behind a backslash, or plain; a bar; or blanks.
  const part = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s|'"\\]+)|(\|)|(\s+)/y;
  let word: string | undefined;
  while (part.lastIndex < content.length) {
    const found = part.exec(content);
    if (!found) throw new LineError('its quotes are not right');
    const [, single, double, escaped, plain, bar, blanks] = found;
    if (bar === undefined && blanks === undefined) {
      word = `${word ?? ''}${single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain}`;
      continue;
    }
    if (word !== undefined) yield word;
    word = undefined;
    if (bar !== undefined) yield pipe;
  }
  if (word !== undefined) yield word;
}
