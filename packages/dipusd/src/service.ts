// The service that tells what runs: whoever connects gets the table, and its end.
import { createServer, type Server, type Socket } from 'node:net';
import { timing } from '@dipus/proto/timing';
import { busy } from '@dipus/proto/session-error';
import { serveControl } from '@dipus/session/control-server';
import type { Session } from '@dipus/session/session';
import { keepService } from '@dipus/tree/keep';
import type { Tree } from '@dipus/tree/root';

export interface TableService {
  readonly host: string;
  readonly stop: AbortSignal;
  table(): string;
  warn(error: unknown): void;
}

const maxConnections = 64;

/** Keeps the name `dipusd` in local/ until it is released. Throws Failure. */
export async function serveTable(tree: Tree, { host, stop, table, warn }: TableService): Promise<{ release(): void }> {
  const since = Date.now();
  const open = new Set<Socket>();
  const hold = (connection: Socket): void => {
    open.add(connection.on('error', () => {}));
    connection.once('close', () => open.delete(connection));
  };
  const serve = serveControl({
    refuse: () => (open.size > maxConnections ? busy : undefined),
    begin: (session) => answer(session, table()),
    info: () => ({ since, running: 0, waiting: 0, max: maxConnections, tty: false, pid: process.pid }),
  });
  const server = (connected: (connection: Socket) => void): Server =>
    createServer({ allowHalfOpen: true }, (connection) => {
      hold(connection);
      connected(connection);
    }).on('error', warn);
  const plain = (connection: Socket): void => {
    if (open.size > maxConnections) return void connection.destroy();
    tellAll(connection, table());
  };
  const kept = await keepService(
    tree,
    { area: 'local', protocol: '', name: 'dipusd', host },
    {
      open: () => ({ plain: server(plain), control: server(serve) }),
      stop,
      reclaimed: (path) => warn(`${path} was taken away; claimed it again`),
      lost: warn,
    },
  );
  return {
    release: () => {
      kept.release();
      for (const connection of open) connection.destroySoon();
    },
  };
}

function answer(session: Session, text: string): void {
  session.listen({ signal: () => {}, resize: () => {}, gone: () => {} });
  session.started(false);
  const data = session.takeData();
  data.on('error', () => {});
  data.resume().end(text, () => session.exit({ code: 0 }));
}

/** What a client says is of no interest; one that does not end is cut off. */
function tellAll(connection: Socket, text: string): void {
  const timer = setTimeout(() => connection.destroy(), timing.lingerMs);
  connection.once('close', () => clearTimeout(timer));
  connection.resume().end(text);
}
