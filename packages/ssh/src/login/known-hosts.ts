import { createHmac, randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { codeOf, Failure } from '@dipus/proto/failure';
import { wildMatches } from '@dipus/proto/wildcard';

/** A line of known_hosts that names a host (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownKey {
  readonly marker: 'key' | 'revoked' | 'authority';
  readonly type: string;
  /** Base64. */
  readonly key: string;
  /** `FILE:LINE`. */
  readonly where: string;
  /** It names the host without the port that is asked for. */
  readonly isPortless?: boolean;
}

/** What the files know of a host, in their order; a file that is not there knows nothing. Throws Failure where one cannot be read. */
export function findKnownKeys(files: readonly string[], name: string): KnownKey[] {
  return files.flatMap((file) =>
    readLines(file).flatMap((line, at) => {
      const found = parseKnownLine(line, name);
      return found ? [{ ...found, where: `${file}:${at + 1}` }] : [];
    }),
  );
}

/** One line, if it names the host: hashed, or by patterns of which none denies it. */
export function parseKnownLine(line: string, name: string): Omit<KnownKey, 'where' | 'isPortless'> | undefined {
  const words = line.trim().split(/\s+/);
  const marker = words[0]?.startsWith('@') ? words.shift() : undefined;
  const [names, type, key] = words;
  if (names === undefined || type === undefined || key === undefined || names.startsWith('#')) return undefined;
  if (!(names.startsWith('|') ? isHashOf(names, name) : matchesPatterns(names, name))) return undefined;
  if (marker === undefined) return { marker: 'key', type, key };
  if (marker === '@revoked') return { marker: 'revoked', type, key };
  return marker === '@cert-authority' ? { marker: 'authority', type, key } : undefined;
}

/** Appends a key to a file, which is made 0600 where it is new, its directory 0700. Throws Failure. */
export function recordKey(
  file: string,
  { name, type, key, isHashed }: { name: string; type: string; key: string; isHashed: boolean },
): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const text = readText(file);
    const start = text === '' || text.endsWith('\n') ? '' : '\n';
    appendFileSync(file, `${start}${isHashed ? hashName(name) : name} ${type} ${key}\n`, { mode: 0o600 });
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('write', file, error);
  }
}

function isHashOf(field: string, name: string): boolean {
  const [, version, salt = '', hash = ''] = field.split('|');
  return version === '1' && hashOf(name, Buffer.from(salt, 'base64')) === hash;
}

function hashName(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString('base64')}|${hashOf(name, salt)}`;
}

// The format has SHA-1; it hides names and protects nothing.
function hashOf(name: string, salt: Buffer): string {
  return createHmac('sha1', salt).update(name).digest('base64');
}

function matchesPatterns(patterns: string, name: string): boolean {
  const all = patterns.toLowerCase().split(',');
  if (all.some((each) => each.startsWith('!') && matchesPattern(each.slice(1), name))) return false;
  return all.some((each) => matchesPattern(each, name));
}

/** `*` and `?` as in ssh_config(5), PATTERNS. */
function matchesPattern(pattern: string, name: string): boolean {
  const isWild = (at: number): boolean => pattern[at] === '*';
  return wildMatches({ length: pattern.length, isWild }, name.length, (at, from) => pattern[at] === '?' || pattern[at] === name[from]);
}

function readLines(file: string): string[] {
  return readText(file).split('\n');
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return '';
    throw new Failure('read', file, error);
  }
}
