// What is said on stderr: a line for each message, with the name of the tool before it.
import { basename } from 'node:path';
import { Failure } from '@dipus/proto/failure';
import { printDiagnostics } from '@dipus/cli/output';
import { printable } from '@dipus/proto/printable';

export interface Log {
  /** A line of a tool's stderr. */
  said(tool: string, pid: number, line: string): void;
  /** A failure, or news. */
  warn(error: unknown): void;
  /** A line for `-v`. */
  explain(line: string): void;
}

export interface LogOptions {
  readonly isVerbose: boolean;
  /** An object a line. */
  readonly isJson: boolean;
}

/** `own` says what dipusd itself has to say, in text. */
export function newLog(own: Pick<Log, 'warn' | 'explain'>, { isVerbose, isJson }: LogOptions): Log {
  if (!isJson) return { said: (tool, _, line) => printDiagnostics(`${withName(tool, line)}\n`), warn: own.warn, explain: own.explain };
  const tell = (message: object): void => printDiagnostics(`${JSON.stringify({ time: Date.now() / 1000, ...message })}\n`);
  const dipusd = { tool: 'dipusd', pid: process.pid };
  return {
    said: (tool, pid, line) => tell({ tool, pid, message: printable(line) }),
    warn: (error) => {
      if (error instanceof Failure) tell({ ...dipusd, message: error.message, ...(error.hint !== undefined && { hint: error.hint }) });
      else if (typeof error === 'string') tell({ ...dipusd, message: printable(error) });
      // A bug, with its stack.
      else own.warn(error);
    },
    explain: (line) => isVerbose && tell({ ...dipusd, message: printable(line) }),
  };
}

/** Our tools put their names before their messages themselves. */
function withName(tool: string, line: string): string {
  const prefix = `${basename(tool)}: `;
  return printable(line.startsWith(prefix) ? line : `${prefix}${line}`);
}
