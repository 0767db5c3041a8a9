// The EXAMPLES of the pages, as text that a shell can run.
import { readdirSync, readFileSync } from 'node:fs';

export interface Example {
  /** `dcat.1`. */
  readonly page: string;
  /** Its commands, a line each or more; without prompts and without what they print. */
  readonly commands: readonly string[];
  /** What it says they print. */
  readonly prints: readonly string[];
}

/** Every example of every page, in their order. */
export function examplesOf(directory: string): Example[] {
  const pages = readdirSync(directory).flatMap((section) => readdirSync(`${directory}/${section}`).map((page) => ({ section, page })));
  return pages.flatMap(({ section, page }) =>
    blocksOf(readFileSync(`${directory}/${section}/${page}`, 'utf8')).map((lines) => read(page, lines)),
  );
}

/** The literal lines of the section, those of one display together. */
function blocksOf(source: string): string[][] {
  const section = /^\.Sh EXAMPLES\n([^]*?)^\.Sh /m.exec(source)?.[1] ?? '';
  const found = section.matchAll(/^\.Dl (.*)$|^\.Bd -literal.*\n([^]*?)^\.Ed$/gm);
  return [...found].map(([, line, display]) => (line ?? display!.trimEnd()).split('\n').map(plain));
}

// The escapes of mdoc(7) that the pages use.
function plain(line: string): string {
  return line.replaceAll('\\(dq', '"').replaceAll('\\&', '').replaceAll('\\e', '\\');
}

function read(page: string, lines: readonly string[]): Example {
  if (!lines[0]!.startsWith('$ ')) return { page, commands: joined(lines), prints: [] };
  const commands: string[] = [];
  const prints: string[] = [];
  let isCommand = false;
  for (const line of lines) {
    const isContinued: boolean = isCommand && line.startsWith(' ');
    if (line.startsWith('$ ')) commands.push(line.slice(2));
    else if (isContinued) commands.push(`${commands.pop()}\n${line}`);
    else prints.push(line);
    isCommand = isContinued || line.startsWith('$ ');
  }
  return { page, commands, prints };
}

/** Lines that end with a backslash go with the next one. */
function joined(lines: readonly string[]): string[] {
  return lines.join('\n').split(/(?<!\\)\n/);
}
