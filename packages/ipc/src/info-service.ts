// A name of the tree for a daemon: its plain socket is the daemon's own, its control socket tells of it.
import { createServer, type Socket } from 'node:net';
import { partFrom, refuseConnection, serveControl } from '@dipus/session/control-server';
import type { Session } from '@dipus/session/session';
import type { Wanted } from '@dipus/tree/claim';
import { keepService } from '@dipus/tree/keep';
import type { Tree } from '@dipus/tree/root';

/** What a daemon does with the connections to its name, and is told. */
export interface InfoService {
  /** Connected, half-open and not read yet; its to close. */
  connected(connection: Socket): void;
  /** Its sessions; it takes none unless given. */
  begin?(session: Session): void;
  /** How many it is busy with. */
  running(): number;
  /** How many it takes at a time. */
  readonly max: number;
  readonly stop: AbortSignal;
  /** News of the name, or of a connection that could not be accepted. */
  warn(error: unknown): void;
}

/** Keeps a name, until it is released. `path`: of the plain socket, as it stands. Throws Failure. */
export async function keepInfoService(
  tree: Tree,
  wanted: Wanted,
  service: InfoService,
): Promise<{ readonly path: string; release(): void }> {
  const since = Date.now();
  const controls = new Set<Socket>();
  const serve = serveControl({
    refuse: () => undefined,
    begin: (session) => (service.begin ? service.begin(session) : session.fail('it takes no sessions: connect to its plain socket')),
    info: () => ({ since, running: service.running(), waiting: 0, max: service.max, tty: false, pid: process.pid }),
  });
  const control = (connection: Socket): void => {
    // A session has two of them.
    if (controls.size >= maxControls + (service.begin ? 2 * service.max : 0))
      return refuseConnection(
        connection.on('error', () => {}),
        { reason: 'too many connections', retry: true },
      );
    controls.add(connection);
    connection.once('close', () => controls.delete(connection));
    serve(connection);
  };
  const kept = await keepService(tree, wanted, {
    open: () => {
      const servers = {
        plain: createServer({ allowHalfOpen: true, pauseOnConnect: true }, (connection) => service.connected(connection)),
        control: createServer({ allowHalfOpen: true }, control),
      };
      for (const server of [servers.plain, servers.control]) server.on('error', (error) => service.warn(error));
      return servers;
    },
    stop: service.stop,
    reclaimed: (path) => service.warn(`${path} was taken away; claimed it again`),
    lost: (error) => service.warn(error),
  });
  return {
    get path() {
      return kept.claim.path;
    },
    release: () => {
      kept.release();
      partFrom(controls);
    },
  };
}

const maxControls = 64;
