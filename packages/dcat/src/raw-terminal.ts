// The user's terminal in raw mode while a service with a terminal of its own is used.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { ReadStream, WriteStream, isatty } from 'node:tty';
import type { Terminal, TerminalSize } from '@dipus/proto/control';

const stdin = 0;

/** The terminal that stdin is, or undefined. */
export function ownTerminal(): Terminal | undefined {
  if (!isatty(stdin)) return undefined;
  return { ...terminalSize(), term: process.env['TERM'] || 'dumb' };
}

export interface RawTerminal {
  /** Names the process that reads the terminal: it ends with us, however we end. */
  guard(pid: number): void;
  /** Puts the terminal back as it was. */
  restore(): void;
}

/** Raw mode until restore(); `resized` is told of each new size. If this process is killed, the terminal is put back all the same. */
export async function enterRawMode(resized: (size: TerminalSize) => void): Promise<RawTerminal> {
  const tell = await armGuard();
  const terminal = new ReadStream(stdin);
  terminal.setRawMode(true);
  const onResize = (): void => resized(terminalSize());
  process.on('SIGWINCH', onResize);
  return {
    guard: (pid) => tell(String(pid)),
    restore: () => {
      process.off('SIGWINCH', onResize);
      terminal.setRawMode(false);
      terminal.destroy();
      tell('done');
    },
  };
}

/**
 * A shell that remembers the settings. When we have gone without a word (SIGKILL leaves no time for one) it ends the reader of the
 * terminal, which would take the next line from the user's shell, and sets them again. Returns how to tell it a pid, or `done`.
 */
async function armGuard(): Promise<(word: string) => void> {
  const script = `trap "" INT QUIT HUP TERM TTOU TSTP
    saved=$(stty -g <&3) || exit
    echo ready
    while read word; do
      [ "$word" = done ] && exit
      reader=$word
    done
    [ -z "$reader" ] || kill "$reader"
    stty "$saved" <&3`;
  const guard = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore', stdin] });
  guard.stdin?.on('error', () => {});
  guard.unref();
  await Promise.race([once(guard.stdout!, 'data'), once(guard, 'close')]);
  guard.stdout!.destroy();
  return (word) => void guard.stdin!.write(`${word}\n`);
}

function terminalSize(): TerminalSize {
  const screen = new WriteStream(stdin);
  const [cols, rows] = screen.getWindowSize();
  screen.destroy();
  return { cols: cols || 80, rows: rows || 24 };
}
