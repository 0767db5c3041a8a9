// The options of commands that make a service: where it stands, and who may use it; and the operand that names it.
import { parseServiceToMake } from '@dipus/proto/ask';
import { UsageError } from './errors.ts';
import { isGiven, modeOption, textOption, type ParsedLine } from './options.ts';
import type { Option } from './words.ts';

export const offerOptions: Readonly<Record<'export' | 'mode' | 'group', Option>> = {
  export: { short: 'x', describe: 'offer it to other hosts: in exported/, not local/' },
  mode: { short: 'm', value: 'MODE', describe: 'MODE of the sockets, octal (default 600)' },
  group: { short: 'g', value: 'GROUP', describe: 'GROUP of the sockets' },
};

export interface Permissions {
  readonly mode?: number;
  /** By name or number. */
  readonly group?: string;
}

export interface OfferOptions extends Permissions {
  readonly area: 'local' | 'exported';
}

/** Throws UsageError. */
export function readOffer(values: ParsedLine['values']): OfferOptions {
  return { area: isGiven(values, 'export') ? 'exported' : 'local', ...readPermissions(values) };
}

/** Of `mode` and `group` alone. Throws UsageError. */
export function readPermissions(values: ParsedLine['values']): Permissions {
  const mode = modeOption(values, 'mode');
  const group = textOption(values, 'group');
  return { ...(mode !== undefined && { mode }), ...(group !== undefined && { group }) };
}

/** Reads `NAME[...N][/PROTOCOL]`; `host` is this host's name in service names. Throws UsageError. */
export function readServiceToMake(text: string, host: string): NonNullable<ReturnType<typeof parseServiceToMake>> {
  const parsed = parseServiceToMake(text, host);
  if (parsed) return parsed;
  const rule = 'NAME has no dot, slash or white space; PROTOCOL is SEGMENT[/SEGMENT]..., none beginning with a dot; N is 0 to 65535';
  throw new UsageError(`${JSON.stringify(text)} is not NAME[...N][/PROTOCOL]`, rule);
}
