import { getSystemErrorMap } from 'node:util';
import { printable } from './printable.ts';

/**
 * Something could not be done, told for a person: `cannot verb object: reason`, and a hint where the user can do something.
 * `cause` is an Error (a system error is given its usual words) or the reason itself.
 */
export class Failure extends Error {
  hint: string | undefined;
  /** The system's name of the error (`ECONNREFUSED`), where it has one. */
  readonly code: string | undefined;

  constructor(verb: string, object: string, cause: unknown) {
    super(`cannot ${verb} ${printable(object)}: ${reasonOf(cause)}`, { cause });
    this.name = 'Failure';
    this.code = codeOf(cause);
  }

  /** Says what can be done about it, where there is something. */
  withHint(hint: string | undefined): this {
    this.hint = hint;
    return this;
  }
}

/** The system's name of an error (`ENOENT`), or undefined for anything else. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** An error with the system's name of its cause (`ENOENT`), as the system itself would give it. */
export function systemError(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

// What the system says of names that it looks up does not say that it is about a name.
const ofNames: Readonly<Record<string, string>> = {
  ENOTFOUND: 'no such host name',
  EAI_AGAIN: 'its name cannot be looked up now: the name service does not answer',
};

/** What went wrong in words, without the call and path that Node puts before it. Never more than one line. */
export function reasonOf(cause: unknown): string {
  if (typeof cause === 'string') return printable(cause);
  // Of the errors of several addresses the first is told.
  if (cause instanceof AggregateError && cause.errors.length > 0) return reasonOf(cause.errors[0]);
  const ofName = ofNames[codeOf(cause) ?? ''];
  if (ofName !== undefined) return ofName;
  const number = (cause as { errno?: unknown } | null | undefined)?.errno;
  const known = typeof number === 'number' ? getSystemErrorMap().get(number) : undefined;
  if (known) return known[1];
  return printable(cause instanceof Error ? cause.message : String(cause));
}
