import { setTimeout as sleep } from 'node:timers/promises';
import { endCommand, startCommand } from './command.ts';
import type { Connection, Control } from './connection.ts';

// From asking a command to end to ending it.
const killMs = 5_000;
// How long the other end may take to stop sending to a command that has ended.
const lingerMs = 10_000;

/** Runs the remote command on the connection, which it closes; gives the command's status. */
export async function runRemote(
  connection: Connection,
  argv: readonly string[],
  edge: { warn: (error: unknown) => void; stop: AbortSignal },
): Promise<number> {
  const { control, stdio } = connection;
  connection.open();
  const command = startCommand(argv, [stdio, stdio, 'inherit']);
  connection.attach(command.child, command.child);
  let isAlone = false;
  const parted = control && obey(control, connection, (signal) => endCommand(command, signal, killMs)).then(() => void (isAlone = true));
  edge.stop.addEventListener('abort', () => endCommand(command, 'SIGTERM', killMs));
  if (edge.stop.aborted) endCommand(command, 'SIGTERM', killMs);

  const { status, signal, failure } = await command.ended;
  if (failure) edge.warn(failure);
  control?.send({ kind: 'exit', status, isBySigpipe: signal === 'SIGPIPE' });
  // An old near end does not know that the command has ended unless it reads EOF.
  if (!control) connection.halfClose();
  const patience = new AbortController();
  if (isAlone) patience.abort();
  const parting = Promise.all([connection.discard().then(() => connection.flush()), parted]);
  await Promise.race([parting, sleep(lingerMs, undefined, { signal: patience.signal }).catch(() => {})]);
  patience.abort();
  connection.close();
  return status;
}

/** Does what the near end asks for; settles when it can ask nothing more. */
function obey(control: Control, connection: Connection, end: (signal: NodeJS.Signals) => void): Promise<void> {
  return new Promise((resolve) => {
    control.receive((message) => {
      if (message === undefined) {
        // Gone, or content with the status; a command that has ended takes no harm.
        end('SIGTERM');
        resolve();
      } else if (message.kind === 'kill') end(message.signal);
      else if (message.kind === 'deaf') connection.refuseWriting();
    });
  });
}
