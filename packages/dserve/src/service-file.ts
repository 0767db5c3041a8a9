import { UsageError } from '@dipus/cli/errors';
import { linesOf, readLines, type LineFault } from '@dipus/proto/file-lines';
import { parseServiceLine } from './args.ts';
import type { ServiceRequest } from './service-request.ts';

/** What a line asks for. */
interface ServiceLine {
  readonly line: number;
  readonly request: ServiceRequest;
}

/**
 * Reads a file of services, a line each. Empty lines and those beginning with `#` are passed over. Lines that are no service are returned
 * beside the good ones.
 */
export function parseServiceFile(text: string, host: string): { services: ServiceLine[]; faults: LineFault[] } {
  const { read, faults } = readLines(linesOf(text), UsageError, ({ line, content }) => ({
    line,
    request: parseServiceLine(content, host),
  }));
  return { services: read, faults };
}
