import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '@dipus/proto/failure';
import { formatGrant } from '@dipus/proto/grant';
import { formatKnownLine, knownHost } from '@dipus/proto/known-line';
import { asPeerName } from '@dipus/proto/peers-file';
import type { HostPort } from '@dipus/proto/uri';
import type { ConfigFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { peersOf, readKnownPeers } from '@dipus/seps/known-peers';

/** This user's pin, or the line for the authorized_peers of an exporter, with the name of this host. Throws Failure. */
export function ownKey(folder: ConfigFolder, host: string | undefined): string {
  const { pin } = loadIdentity(folder);
  return host === undefined ? pin : formatGrant(pin, asPeerName(host), []);
}

export interface KnownOptions {
  /** As lines of known_peers. */
  readonly isLine: boolean;
  warn(fault: Failure): void;
}

/** The pins that are known for an exporter, without those that are revoked. Throws Failure where there is none. */
export function knownKeys(folder: ConfigFolder, target: HostPort, { isLine, warn }: KnownOptions): string[] {
  const known = readKnownPeers(folder, warn);
  const peers = peersOf(known, target);
  const host = knownHost(target);
  const isRevoked = peers.length === 0 && known.peers.some(({ hosts }) => hosts.includes(host));
  if (isRevoked) throw new Failure('find the key of', host, 'what is known of it is revoked');
  if (peers.length === 0) throw new Failure('find the key of', host, 'it is not in known_peers').withHint(`djoin ${host} pairs the two`);
  return [...new Set(peers.map(({ pin, name }) => (isLine ? formatKnownLine(host, pin, name) : pin)))];
}

/** Writes the certificate of this user's key beside it, and returns its path. Throws Failure. */
export function writeCertificate(folder: ConfigFolder): string {
  const { cert } = loadIdentity(folder);
  const path = join(folder.dir, 'cert.pem');
  const newborn = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    writeFileSync(newborn, cert, { mode: 0o600, flag: 'wx' });
    renameSync(newborn, path);
  } catch (error) {
    rmSync(newborn, { force: true });
    throw new Failure('write', path, error);
  }
  return path;
}
