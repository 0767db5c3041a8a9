import { parseMode, type ServiceRequest } from './service-request.ts';
import { UsageError } from '@dipus/cli/errors';
import { parseTarget } from './args.ts';

/** A line that is no service, with what is wrong. */
export interface BadLine {
  readonly line: number;
  readonly reason: string;
}

/**
 * Reads a file of services: `[-x] [-m MODE] [-g GROUP] NAME[/PROTOCOL] COMMAND…`, a line each; COMMAND is the rest of the line as it is.
 * Empty lines and those beginning with `#` are passed over. Bad lines are returned beside the good ones.
 */
export function parseServiceFile(text: string, host: string): { services: { line: number; request: ServiceRequest }[]; bad: BadLine[] } {
  const services: { line: number; request: ServiceRequest }[] = [];
  const bad: BadLine[] = [];
  for (const [at, content] of text.split('\n').entries()) {
    if (/^\s*(?:#|$)/.test(content)) continue;
    try {
      services.push({ line: at + 1, request: parseLine(content, host) });
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      bad.push({ line: at + 1, reason: error.message });
    }
  }
  return { services, bad };
}

function parseLine(content: string, host: string): ServiceRequest {
  let rest = content.trim();
  const word = (): string => {
    const [whole, found] = /^(\S*)\s*/.exec(rest)!;
    rest = rest.slice(whole.length);
    return found!;
  };
  let area: ServiceRequest['area'] = 'local';
  let mode: number | undefined;
  let group: string | undefined;
  while (rest.startsWith('-')) {
    const option = word();
    if (option === '-x') area = 'exported';
    else if (option === '-m') mode = parseMode(word());
    else if (option === '-g') group = word();
    else throw new UsageError(`unknown option ${option}`);
  }
  if (group === '') throw new UsageError('-g needs a value');
  const target = word();
  if (target === '') throw new UsageError('no NAME');
  if (rest === '') throw new UsageError(`no COMMAND behind ${target}`);
  const settings = { ...(mode !== undefined && { mode }), ...(group !== undefined && { group }) };
  return { ...parseTarget(target, host), command: rest, area, ...settings, max: 64, hasTerminal: false };
}
