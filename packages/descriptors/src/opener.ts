import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { knownPeer } from './peer-credentials.ts';

/** The user who has connected to a socket of this one's: nobody else where `isOwnersAlone`; undefined where it cannot be known. */
export function openerOf(connection: Duplex, isOwnersAlone: boolean): number | undefined {
  if (isOwnersAlone) return process.geteuid!();
  return connection instanceof Socket ? knownPeer(connection)?.uid : undefined;
}
