import { inTime } from '@dipus/proto/waiting';
import { endCommand, startCommand } from './command.ts';
import { isCutShort, type Connection, type Control } from './connection.ts';

// From asking a command to end to ending it.
const killMs = 5_000;
// How long the other end may take to stop sending to a command that has ended.
const lingerMs = 10_000;

/** Runs the remote command on the connection, which it closes; gives the command's status. */
export async function runRemote(
  connection: Connection,
  argv: readonly string[],
  options: { warn: (error: unknown) => void; stop: AbortSignal },
): Promise<number> {
  const { control, stdio } = connection;
  connection.open();
  const command = startCommand(argv, [stdio, stdio, 'inherit']);
  connection.attach(command.child, command.child);
  const orders = obey(control, connection, (signal) => endCommand(command, signal, killMs));
  options.stop.addEventListener('abort', () => endCommand(command, 'SIGTERM', killMs));
  if (options.stop.aborted) endCommand(command, 'SIGTERM', killMs);

  const ending = await command.ended;
  if (ending.failure) options.warn(ending.failure);
  control?.send({ kind: 'exit', status: ending.status, isCutShort: orders.isRefused && isCutShort(ending, connection) });
  // An old near end does not know that the command has ended unless it reads EOF.
  if (!control) connection.halfClose();
  if (!orders.isOver) await part(connection, orders.over);
  connection.close();
  return ending.status;
}

/** Until all of the output is on its way, and the other end has stopped sending. */
async function part(connection: Connection, over: Promise<void> | undefined): Promise<void> {
  const discarded = connection.discard();
  await Promise.race([connection.flush(), ...(over ? [over] : [])]);
  await inTime(lingerMs, Promise.all([discarded, over]));
}

interface Orders {
  /** Settles when the near end can ask nothing more; undefined where it never can. */
  readonly over: Promise<void> | undefined;
  readonly isOver: boolean;
  /** Whether the command was writing when nobody wanted to read any more. */
  readonly isRefused: boolean;
}

/** Does what the near end asks for. */
function obey(control: Control | undefined, connection: Connection, end: (signal: NodeJS.Signals) => void): Orders {
  let [isOver, isRefused] = [false, false];
  const obeyUntil = (resolve: () => void): void => {
    control?.receive((message) => {
      if (message?.kind === 'kill') end(message.signal);
      if (message?.kind === 'deaf') isRefused = connection.refuseWriting();
      if (message !== undefined) return;
      // Gone, or content with the status; a command that has ended takes no harm.
      end('SIGTERM');
      isOver = true;
      resolve();
    });
  };
  return {
    over: control && new Promise(obeyUntil),
    get isOver() {
      return isOver;
    },
    get isRefused() {
      return isRefused;
    },
  };
}
