// A program on a terminal of its own. The only file that knows node-pty, an optional dependency: it is compiled when it is installed.
import type * as NodePty from 'node-pty';
import { constants } from 'node:os';
import type { Socket } from 'node:net';
import { Failure } from '@dipus/cli/errors';
import type { Terminal, TerminalSize } from '@dipus/proto/control';
import type { Command, Program } from './program.ts';

const eof = '\u0004';

/** A program on a terminal that is relayed to a connection. */
export interface TerminalProgram extends Program {
  resize(size: TerminalSize): void;
}

/** Loads node-pty. Throws Failure, with what is missing, where it could not be installed. */
export async function loadPty(): Promise<typeof NodePty> {
  try {
    return await import('node-pty');
  } catch (error) {
    const hint = 'install it with "npm install node-pty" beside dserve (that needs python3, make and g++); all but --pty works without';
    throw new Failure('load', 'node-pty', error instanceof Error ? error.message.split('\n')[0]! : String(error), hint);
  }
}

/**
 * Starts a command on a terminal and relays it to the connection, which it owns from now on. The connection's end becomes the
 * terminal's end-of-file character. Throws where no terminal or process is to be had.
 */
export function startOnTerminal(pty: typeof NodePty, command: Command, connection: Socket, terminal: Terminal): TerminalProgram {
  const program = pty.spawn('/bin/sh', ['-c', command.command], {
    name: terminal.term,
    cols: terminal.cols,
    rows: terminal.rows,
    cwd: process.cwd(),
    env: command.environment,
    // Bytes, not text.
    encoding: null,
  });
  let isOver = false;
  let endsLine = true;
  program.onData((data) => {
    if (!connection.write(data)) program.pause();
  });
  connection.on('drain', () => program.resume());
  connection.on('data', (bytes: Buffer) => {
    endsLine = bytes.at(-1) === 0x0a || bytes.at(-1) === 0x0d;
    if (!isOver) program.write(bytes);
  });
  // Within a line the character only ends the line (termios(3), VEOF): it takes a second one.
  connection.on('end', () => !isOver && program.write(endsLine ? eof : eof + eof));
  // Nobody reads the terminal any more: let it run dry, not full.
  connection.on('close', () => program.resume());
  connection.resume();
  const ended = new Promise<{ code: number } | { signal: string }>((resolve) => {
    program.onExit(({ exitCode, signal }) => {
      isOver = true;
      connection.end();
      resolve(signal ? { signal: signalName(signal) } : { code: exitCode });
    });
  });
  return {
    ended,
    pid: program.pid,
    resize: (size) => {
      if (!isOver) program.resize(size.cols, size.rows);
    },
  };
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found ? found[0].slice('SIG'.length) : String(number);
}
