// Terminals by node-pty, an optional dependency: it is compiled when it is installed. Only its native part is used. The streams that it
// lays over a terminal go on writing to a descriptor that is closed, which may be somebody else's by then, and drop what they have not read
// at the exit.
import { closeSync, constants as fileConstants, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, resolve } from 'node:path';
import { Failure } from '@dipus/proto/failure';
import type { Exit, Terminal, TerminalSize } from '@dipus/proto/control';
import { realTimeName } from '@dipus/proto/signal';
import { deferred } from '@dipus/proto/waiting';
import { guardGroup, readyGuard } from '@dipus/programs/guard';
import type { Command } from '@dipus/programs/program';

/** The native part of node-pty 1.1 (src/unix/pty.cc). */
interface Native {
  fork(
    ...args: [
      file: string,
      args: string[],
      environment: string[],
      folder: string,
      cols: number,
      rows: number,
      uid: number,
      gid: number,
      isUtf8: boolean,
      helper: string,
      exited: (code: number, signal: number) => void,
    ]
  ): { fd: number; pid: number; pty: string };
  resize(fd: number, cols: number, rows: number): void;
}

/** node-pty, loaded. */
export interface PtyMaker {
  readonly native: Native;
  readonly helper: string;
}

/** A program that leads a session on a terminal of its own. */
export interface Pty {
  readonly pid: number;
  /**
   * The terminal's other end, non-blocking. Whoever starts the program closes it in the same turn: it would pass to every program started
   * later.
   */
  readonly master: number;
  readonly exited: Promise<Exit>;
  /** Nothing once the program has exited. */
  resize(size: TerminalSize): void;
}

/** Loads node-pty. Throws Failure, with what is missing, where it could not be installed. */
export function loadPtyMaker(): PtyMaker {
  const require = createRequire(import.meta.url);
  try {
    const { loadNativeModule } = require('node-pty/lib/utils.js') as { loadNativeModule(name: string): { dir: string; module: Native } };
    const { dir, module } = loadNativeModule('pty');
    return { native: module, helper: resolve(dirname(require.resolve('node-pty/lib/utils.js')), dir, 'spawn-helper') };
  } catch (error) {
    const hint = 'install it with "npm install node-pty@1.1" beside dserve (that needs python3, make and g++); all but --pty works without';
    throw new Failure('load', 'node-pty', error instanceof Error ? error.message.split('\n')[0]! : String(error)).withHint(hint);
  }
}

/** Starts a command on a new terminal. Throws where no terminal or process is to be had. */
export function startPty({ native, helper }: PtyMaker, command: Command, { cols, rows, term }: Terminal): Pty {
  const environment = Object.entries({ ...command.environment, TERM: term })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`);
  const { promise: exited, resolve: end } = deferred<Exit>();
  const ended = (code: number, signal: number): void => end(signal > 0 ? { signal: signalName(signal) } : { code });
  readyGuard();
  // No folder: the one that the program is started in, also where that has been removed. Numbers below 0: as whom we run.
  const made = native.fork('/bin/sh', ['-c', command.command], environment, '', cols, rows, -1, -1, false, helper, ended);
  const side = openSide(made.pty);
  const release = guardGroup(made.pid);
  void exited.then(() => {
    release();
    side.close();
  });
  return {
    pid: made.pid,
    master: made.fd,
    exited,
    resize: (size) => side.use((fd) => native.resize(fd, size.cols, size.rows)),
  };
}

/**
 * The program's side of its terminal, for its size, and so that the terminal has no end before the program has. Without it there are no
 * sizes.
 */
function openSide(path: string): { use(act: (fd: number) => void): void; close(): void } {
  let fd: number | undefined;
  try {
    fd = openSync(path, fileConstants.O_RDWR | fileConstants.O_NOCTTY);
  } catch {
    // A /dev without this terminal in it.
  }
  return {
    use: (act) => {
      try {
        if (fd !== undefined) act(fd);
      } catch {
        // Its program is ending, and has taken the terminal with it.
      }
    },
    close: () => {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found ? found[0].slice('SIG'.length) : (realTimeName(number) ?? `SIG${number}`);
}
