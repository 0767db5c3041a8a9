import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { Exit, TerminalSize } from '@dipus/proto/control';
import { endGroup, signalGroup } from '@dipus/programs/group';
import { startProgram, type Command, type StartedProgram, type StderrReader } from '@dipus/programs/program';

/** A program that serves one connection. */
export interface Program {
  /** How it ended. Its output may still be on the way. */
  readonly ended: Promise<Exit>;
  /** The process, and the process group of its own that it leads. */
  readonly pid: number;
  /** Ends it: TERM, then KILL. */
  end(): void;
  kill(): void;
  /** Its client has gone. */
  abandon(): void;
  /** Only on a terminal; nothing once it has ended. */
  resize?(size: TerminalSize): void;
}

interface OnSocket {
  readonly connection: Socket;
  readonly readStderr?: StderrReader;
}

/**
 * Starts a command with the connection itself as its stdin and stdout; when this resolves no copy of it is left in this process, nor if it
 * rejects. The program has a process group of its own. `ended` waits up to timing.stderrDrainMs for the rest of stderr.
 */
export async function startOnSocket(command: Command, { connection, readStderr }: OnSocket): Promise<Program> {
  try {
    return programOf(await startProgram(command, { stdin: connection, stdout: connection, readStderr }));
  } finally {
    connection.destroy();
    if (!connection.closed) await once(connection, 'close');
  }
}

/** A started program as those of a service are ended. */
export function programOf({ pid, ended }: StartedProgram): Program {
  const end = (): void => void endGroup(pid);
  return { ended, pid, end, kill: () => signalGroup(pid, 'KILL'), abandon: end };
}
