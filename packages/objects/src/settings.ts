/** What a client wants of the objects of a stage: options by their names, as dpipes(1) has them. */
import { JsonSplice } from './json.ts';
import type { Roots, Splice, SpliceOptions } from './splice.ts';
import { YamlSplice } from './yaml.ts';

export interface ObjectSettings {
  readonly format: 'json' | 'yaml';
  readonly roots: Roots;
  readonly validates: boolean;
  readonly maxBytes: number;
  /** The member with the metadata, and how its keys begin. */
  readonly name: string;
  readonly prefix: string;
  /** What it has beside the address, the port and the service. */
  readonly more: readonly MoreMetadata[];
  /** It stays in the output of the pipeline. */
  readonly keepsMetadata: boolean;
}

export type MoreMetadata = (typeof moreMetadata)[number];

const moreMetadata = ['credential', 'environ', 'argv'] as const;
const allRoots = ['pass', 'wrap', 'refuse'] as const;
const usualMaxBytes = 64 << 20;
// What Node can hold as one text.
const mostBytes = 512 << 20;

/** Throws Error with the reason where an option has no sensible value. */
export function readObjectSettings(format: 'json' | 'yaml', options: Readonly<Record<string, string>>): ObjectSettings {
  const { roots = 'pass', validate = 'no', metadata = '', 'metadata-out': out = 'remove' } = options;
  const { 'max-object': max = String(usualMaxBytes), 'metadata-name': name = '__dpipes', 'metadata-prefix': prefix = 'dp.' } = options;
  // It would have to be printed anew, or parsed by somebody.
  if (format === 'yaml' && roots === 'wrap') throw new Error('option roots: no YAML is wrapped');
  if (format === 'yaml' && validate === 'yes') throw new Error('option validate: no YAML is validated');
  return {
    format,
    roots: oneOf(['roots', roots], allRoots),
    validates: oneOf(['validate', validate], ['yes', 'no']) === 'yes',
    maxBytes: readMax(max),
    name: named(['metadata-name', name], /^.{1,255}$/u),
    prefix: named(['metadata-prefix', prefix], /^.{0,255}$/u),
    more: readMore(metadata),
    keepsMetadata: oneOf(['metadata-out', out], ['keep', 'remove']) === 'keep',
  };
}

/** One stream by these settings; without metadata it is taken out. */
export function spliceOf(settings: ObjectSettings, own: Pick<SpliceOptions, 'metadata' | 'warn'>): Splice {
  const { roots, validates, maxBytes, name, prefix } = settings;
  const options: SpliceOptions = { roots, validates, maxBytes, name, wrappedKey: `${prefix}wrapped`, ...own };
  return settings.format === 'yaml' ? new YamlSplice(options) : new JsonSplice(options);
}

function readMore(text: string): MoreMetadata[] {
  const words = text.split(/[\s,]+/).filter(Boolean);
  const asked = words.map((word) => oneOf(['metadata', word], moreMetadata));
  return moreMetadata.filter((key) => asked.includes(key));
}

function oneOf<T extends string>([option, value]: readonly [string, string], all: readonly T[]): T {
  const found = all.find((one) => one === value);
  if (found === undefined) throw new Error(`option ${option}: ${JSON.stringify(value)} is not one of ${all.join(', ')}`);
  return found;
}

function named([option, value]: readonly [string, string], pattern: RegExp): string {
  if (!pattern.test(value)) throw new Error(`option ${option}: ${JSON.stringify(value)} is no name`);
  return value;
}

function readMax(text: string): number {
  const bytes = /^[1-9]\d{0,9}$/.test(text) ? Number(text) : 0;
  if (bytes === 0 || bytes > mostBytes) throw new Error(`option max-object: ${JSON.stringify(text)} is not from 1 to ${mostBytes} bytes`);
  return bytes;
}
