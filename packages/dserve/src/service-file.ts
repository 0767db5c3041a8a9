import { UsageError } from '@dipus/cli/errors';
import { parseServiceLine } from './args.ts';
import type { ServiceRequest } from './service-request.ts';

/** A line that is no service, with what is wrong. */
export interface BadLine {
  readonly line: number;
  readonly reason: string;
}

/**
 * Reads a file of services, a line each. Empty lines and those beginning with `#` are passed over. Bad lines are returned beside the good
 * ones.
 */
export function parseServiceFile(text: string, host: string): { services: { line: number; request: ServiceRequest }[]; bad: BadLine[] } {
  const services: { line: number; request: ServiceRequest }[] = [];
  const bad: BadLine[] = [];
  for (const [at, content] of text.split('\n').entries()) {
    if (/^\s*(?:#|$)/.test(content)) continue;
    try {
      services.push({ line: at + 1, request: parseServiceLine(content, host) });
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      bad.push({ line: at + 1, reason: error.message });
    }
  }
  return { services, bad };
}
