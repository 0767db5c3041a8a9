import { Failure, reasonOf } from '@dipus/proto/failure';

/** The command line cannot be understood. `run` adds where to read on. */
export class UsageError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** The lines that tell a person of an error: one, a second for the hint; the stack of what is a bug. A string is news. */
export function describeError(tool: string, error: unknown): string {
  if (error instanceof UsageError) return lines(tool, error.message, error.hint ?? `see ${tool} --help or man ${tool}`);
  if (error instanceof Failure) return lines(tool, error.message, error.hint);
  if (error instanceof Error) return `${tool}: internal error, please report it: ${error.stack ?? error.message}\n`;
  return lines(tool, reasonOf(error), undefined);
}

function lines(tool: string, message: string, hint: string | undefined): string {
  return `${tool}: ${message}\n${hint === undefined ? '' : `${tool}: hint: ${hint}\n`}`;
}
