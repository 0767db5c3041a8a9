// known_peers: which key each exporter has, the user's file first, then that of the host.
import { join } from 'node:path';
import { Failure } from '@dipus/proto/failure';
import { formatKnownLine, knownHost, parseKnownPeers, type KnownLine, type KnownLines } from '@dipus/proto/known-line';
import { LineError } from '@dipus/proto/peers-file';
import type { Pin } from '@dipus/proto/pin';
import type { HostPort } from '@dipus/proto/uri';
import { appendLine, readKept, systemFolder, type ConfigFolder } from './config-folder.ts';
import { watchKept } from './watch-kept.ts';

const fileName = 'known_peers';

/** A line, and `FILE:LINE`. */
export interface KnownPeer extends KnownLine {
  readonly where: string;
}

export interface KnownPeers {
  readonly peers: readonly KnownPeer[];
  /** Where each pin is revoked. */
  readonly revoked: ReadonlyMap<Pin, string>;
}

/** What known_peers says of a key that a host shows. `other`: the line of another host with the same key. */
export type Standing =
  | { readonly is: 'known' }
  | { readonly is: 'unknown'; readonly other?: KnownPeer }
  | { readonly is: 'changed'; readonly known: readonly KnownPeer[] }
  | { readonly is: 'revoked'; readonly where: string };

/** The path of the user's own file, for messages. */
export function knownPeersPath(folder: ConfigFolder): string {
  return join(folder.dir, fileName);
}

/** Reads both files; one that is not there knows nobody. `warn` is told of lines that cannot be read. Throws Failure. */
export function readKnownPeers(folder: ConfigFolder, warn: (fault: Failure) => void): KnownPeers {
  const system = systemFolder(folder);
  const files = [folder, ...(system.dir === folder.dir ? [] : [system])].map((each) => readFile(each, warn));
  return {
    peers: files.flatMap(({ path, known }) => known.lines.map((line) => ({ ...line, where: `${path}:${line.line}` }))),
    revoked: new Map(files.flatMap(({ path, known }) => Array.from(known.revoked, ([pin, line]) => [pin, `${path}:${line}`] as const))),
  };
}

/** The lines that name a host, without those of revoked keys. */
export function peersOf({ peers, revoked }: KnownPeers, target: HostPort): KnownPeer[] {
  const name = knownHost(target);
  return peers.filter(({ hosts, pin }) => hosts.includes(name) && !revoked.has(pin));
}

/** Judges a key that a host shows; of several lines for a host any will do, and what is revoked is so for every host. */
export function standingOf(known: KnownPeers, target: HostPort, pin: Pin): Standing {
  const where = known.revoked.get(pin);
  if (where !== undefined) return { is: 'revoked', where };
  const own = known.peers.filter(({ hosts }) => hosts.includes(knownHost(target)));
  if (own.some((peer) => peer.pin === pin)) return { is: 'known' };
  if (own.length > 0) return { is: 'changed', known: own };
  const other = known.peers.find((peer) => peer.pin === pin);
  return { is: 'unknown', ...(other && { other }) };
}

/** Calls `changed` when one of the files may have changed, until what is returned is called. */
export function watchKnownPeers(folder: ConfigFolder, changed: () => void): () => void {
  const system = systemFolder(folder);
  const unwatch = [folder, ...(system.dir === folder.dir ? [] : [system])].map((each) => watchKept(each, fileName, changed));
  return () => unwatch.forEach((end) => end());
}

/** Appends a line to the user's file; does nothing where it is known already. Throws Failure. */
export function rememberPeer(folder: ConfigFolder, target: HostPort, { pin, name }: { pin: Pin; name?: string }): void {
  const known = readKnownPeers(folder, () => {});
  if (standingOf(known, target, pin).is === 'known') return;
  appendLine(folder, fileName, formatKnownLine(knownHost(target), pin, name));
}

function readFile(folder: ConfigFolder, warn: (fault: Failure) => void): { path: string; known: KnownLines } {
  const path = join(folder.dir, fileName);
  try {
    const known = parseKnownPeers(readKept(folder, fileName) ?? '');
    for (const { line, reason } of known.faults) warn(new Failure('read', path, `line ${line}: ${reason}`));
    return { path, known };
  } catch (error) {
    throw error instanceof LineError ? new Failure('read', path, `${error.message}: nobody is trusted until that is mended`) : error;
  }
}
