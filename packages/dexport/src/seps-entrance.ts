// The entrance of an exporter that speaks TLS, and plain text beside it where that is wanted.
import type { Socket } from 'node:net';
import type { Descriptors } from '@dipus/cli/descriptors';
import type { Context } from '@dipus/cli/run';
import { pinName } from '@dipus/proto/pin';
import { usersOfExporter } from '@dipus/seps/authorized-peers';
import { configFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { takeInvitation } from '@dipus/seps/pairing';
import { userId, userName } from '@dipus/tree/accounts';
import { readTrust, type Environment } from '@dipus/tree/trust';
import { everybody, type Entrance } from './entrance.ts';
import { HttpServer, type ServerOptions } from './http-server.ts';
import type { Limits } from './limits.ts';
import type { Openers } from './openers.ts';
import { Seps } from './seps.ts';
import type { HeldView } from './user-views.ts';

export interface SepsEntranceOptions extends ServerOptions {
  readonly limits: Limits;
  readonly context: Context;
  readonly environment: Environment;
  readonly descriptors: Descriptors;
  /** How many connections there may be. */
  readonly maxConnections: number;
  /** Whether plain text is taken too. */
  readonly isPlain: boolean;
  /** Of an exporter that root has started. */
  readonly openers: Openers | undefined;
  viewOf(user: string | undefined): HeldView;
}

/** Reads the key and authorized_peers as whoever starts it. Throws Failure. */
export function sepsEntrance(options: SepsEntranceOptions): Entrance {
  const { context, environment, descriptors, maxConnections, ready, limits, openers } = options;
  const trust = readTrust(environment);
  const folder = configFolder(environment, trust);
  const identity = loadIdentity(folder);
  const known = new HttpServer({ ready });
  const plain = options.isPlain ? new HttpServer({ ready, limits }) : undefined;
  const seps = new Seps({
    identity,
    folder,
    whyNotUser: usersOfExporter({ uid: trust.uid, name: userName(trust.uid) }, userId),
    maxConnections,
    context,
    viewOf: (user) => options.viewOf(user),
    serve: (client) => known.serve(client),
    plain: plain && ((connection) => plain.serve(connection)),
    take: (request) => openers?.pair(request) ?? takeInvitation(folder, request),
  });
  const count = (connection: Socket): void => {
    descriptors.hold(connection, 1);
    if (descriptors.isExceeded) connection.destroy();
  };
  return {
    scheme: 'seps',
    text: { seps: '1', pin: pinName(identity.pin) },
    server: () => seps.server().prependListener('connection', count),
    whoMay: (offered, isLocal) => {
      const { keys, path } = seps.state;
      const who = [keysOf(keys), ...(options.isPlain ? [everybody(isLocal)] : [])].filter((one) => one !== '');
      return who.length > 0 ? `${who.join(', and ')} may use what is in ${offered} (${path})` : 'nobody may yet: dinvite NAME';
    },
    goodbye: () => {
      // A channel that is idle now may still have an answer to send. The client ends it.
      plain?.goodbye();
      seps.goodbye();
    },
    parted: () => seps.ended(),
    close: () => {
      limits.close();
      seps.close();
      for (const http of [known, plain]) http?.close();
    },
  };
}

function keysOf(count: number): string {
  if (count === 0) return '';
  return count === 1 ? '1 key' : `${count} keys`;
}
