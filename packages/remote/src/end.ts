import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { End } from '@dipus/relay/relay';

/** What a relay must know of a connection to another host. */
export function endOf(connection: Duplex): End {
  return connection instanceof Socket ? { socket: connection, kind: 'tcp' } : { socket: connection, kind: 'channel' };
}
