import { readLines, type LineFault } from './file-lines.ts';
import { bracketed } from './ip-address.ts';
import { checkVisible, fieldsOf, isPeerName, LineError, readPeersFile, readPin } from './peers-file.ts';
import type { Pin } from './pin.ts';
import { UriError, parseHostPort, sepPort, type HostPort } from './uri.ts';

/** A line of known_peers: `HOST[:PORT][,HOST…] PIN [NAME]`. */
export interface KnownLine {
  readonly line: number;
  /** As knownHost has them. */
  readonly hosts: readonly string[];
  readonly pin: Pin;
  /** What its key is called here. */
  readonly name?: string;
}

export interface KnownLines {
  readonly lines: readonly KnownLine[];
  readonly revoked: ReadonlyMap<Pin, number>;
  readonly faults: readonly LineFault[];
}

/** How known_peers names a host: as it is addressed, in lower case, an IPv6 address in brackets, `:PORT` where that is not 7370. */
export function knownHost({ host, port = sepPort }: HostPort): string {
  return `${bracketed(host.toLowerCase())}${port === sepPort ? '' : `:${port}`}`;
}

/** Reads the HOST of a command line: `HOST[:PORT]`, with or without `seps://` before it and a slash behind it. Throws UriError. */
export function parseExporter(text: string): HostPort {
  const other = /^(?!seps:)[a-z][a-z0-9+.-]*(?=:\/\/)/i.exec(text)?.[0];
  if (other !== undefined) throw new UriError(`${other}:// has no keys; they belong to seps://`);
  return parseHostPort(text.replace(/^seps:\/\//i, '').replace(/\/$/, ''));
}

/** Reads known_peers. What cannot be read knows nobody; see readPeersFile for what throws LineError. */
export function parseKnownPeers(text: string): KnownLines {
  const file = readPeersFile(text);
  const { read, faults } = readLines(file.lines, LineError, (each) => ({ line: each.line, ...readKnown(fieldsOf(each)) }));
  return { lines: read, revoked: file.revoked, faults };
}

/** A line for known_peers. */
export function formatKnownLine(host: string, pin: Pin, name: string | undefined): string {
  return `${host} ${pin}${name === undefined ? '' : ` ${name}`}`;
}

function readKnown([hosts, pin, name, ...more]: readonly string[]): Omit<KnownLine, 'line'> {
  if (hosts === undefined || pin === undefined) throw new LineError('it is not HOST PIN [NAME]');
  if (more.length > 0) throw new LineError(`nothing stands behind the name, but ${more[0]}`);
  if (name !== undefined && !isPeerName(name)) throw new LineError(`${name} is not a name`);
  return { hosts: hosts.split(',').map(readHost), pin: readPin(pin), ...(name !== undefined && { name }) };
}

function readHost(text: string): string {
  checkVisible(text);
  try {
    return knownHost(parseHostPort(text));
  } catch (error) {
    if (error instanceof UriError) throw new LineError(error.message);
    throw error;
  }
}
