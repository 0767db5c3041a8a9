// The user's terminal in raw mode while a service with a terminal of its own is used.
import { once } from 'node:events';
import { ReadStream, WriteStream, isatty } from 'node:tty';
import { Failure } from '@dipus/proto/failure';
import type { Terminal, TerminalSize } from '@dipus/proto/control';
import { startProcess } from '@dipus/programs/start-process';

const stdin = 0;

/** The terminal that stdin is, or undefined. */
export function ownTerminal(): Terminal | undefined {
  if (!isatty(stdin)) return undefined;
  return { ...terminalSize(), term: process.env['TERM'] || 'dumb' };
}

export interface RawTerminal {
  /** What is typed. */
  readonly typed: ReadStream;
  /** Puts the terminal back as it was. */
  restore(): void;
}

/** Raw mode until restore(); `resized` is told the size, and each new one. If this process is killed, the terminal is put back too. */
export async function enterRawMode(resized: (size: TerminalSize) => void): Promise<RawTerminal> {
  const dismissGuard = await armGuard();
  const typed = new ReadStream(stdin);
  typed.setRawMode(true);
  const onResize = (): void => resized(terminalSize());
  process.on('SIGWINCH', onResize);
  // It may have changed since it was asked for first: a service may have been waited for in between.
  onResize();
  return {
    typed,
    restore: () => {
      process.off('SIGWINCH', onResize);
      // Destroyed, it cannot be set any more.
      if (!typed.destroyed) typed.setRawMode(false);
      typed.destroy();
      dismissGuard();
    },
  };
}

/**
 * A shell that remembers the settings, and sets them again when we have gone without a word: SIGKILL leaves no time for one. Returns the
 * word.
 */
async function armGuard(): Promise<() => void> {
  const script = `trap "" INT QUIT HUP TERM TTOU TSTP
    saved=$(stty -g <&3) || exit
    echo ready
    read -r word && exit
    stty "$saved" <&3`;
  const guard = startProcess('/bin/sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore', stdin] });
  guard.stdin?.on('error', () => {});
  guard.unref();
  await Promise.race([once(guard.stdout!, 'data'), once(guard, 'close')]).catch((error: unknown) => {
    throw new Failure('guard', 'the terminal', error);
  });
  guard.stdout!.destroy();
  return () => void guard.stdin!.write('done\n');
}

function terminalSize(): TerminalSize {
  const screen = new WriteStream(stdin);
  const [cols, rows] = screen.getWindowSize();
  screen.destroy();
  return { cols: cols || 80, rows: rows || 24 };
}
