import { closeSync, openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { codeOf } from '@dipus/proto/failure';
import { printable } from '@dipus/proto/printable';
import type { Prompter } from '@dipus/proto/prompter';

/** The terminal of this process, whatever its stdin is; undefined where it has none. What is shown is made printable. */
export function openPrompter(): Prompter | undefined {
  if (!hasTerminal()) return undefined;
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(ask: () => Promise<T>): Promise<T> => {
    const asked = queue.then(ask);
    queue = asked.catch(() => {});
    return asked;
  };
  return {
    confirm: (question, stop) => inTurn(() => confirm(question, stop)),
    secret: (prompt, stop) => inTurn(() => readLine(prompt, { isShown: false, stop })),
    answer: (prompt, stop) => inTurn(() => readLine(prompt, { isShown: true, stop })),
    tell: (line) => show(`${printable(line)}\r\n`),
  };
}

/** Whether this process has a terminal, whatever its stdin is. */
export function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r+'));
    return true;
  } catch {
    return false;
  }
}

async function confirm(question: string, stop: AbortSignal): Promise<boolean> {
  let prompt = `${question} (yes/no) `;
  for (;;) {
    const text = (await readLine(prompt, { isShown: true, stop })).trim().toLowerCase();
    if (text === 'yes') return true;
    if (text === 'no' || text === '') return false;
    prompt = 'Type yes or no: ';
  }
}

/** The terminal is raw while it is read, and as it was before afterwards. */
function readLine(prompt: string, { isShown, stop }: { isShown: boolean; stop: AbortSignal }): Promise<string> {
  if (stop.aborted) return Promise.resolve('');
  return new Promise((resolve) => {
    const input = new ReadStream(openSync('/dev/tty', 'r'));
    const typed: string[] = [];
    let isOver = false;
    // A terminal that has gone holds the process no more, and its signal is still to come.
    const hold = setInterval(() => {}, 2 ** 30);
    const end = (text: string): void => {
      if (isOver) return;
      isOver = true;
      clearInterval(hold);
      stop.removeEventListener('abort', abort);
      input.setRawMode(false).destroy();
      show('\r\n');
      resolve(text);
    };
    const abort = (): void => end('');
    // The question ends after the program knows that it is stopped: the answer must not look like a no.
    const stopBy = (signal: 'SIGINT' | 'SIGHUP'): void => {
      process.once(signal, abort);
      process.kill(process.pid, signal);
    };
    // That it has gone is told of also where it would be put back.
    const hangUp = (): void => void (isOver || stopBy('SIGHUP'));
    stop.addEventListener('abort', abort);
    input.on('error', hangUp).on('end', hangUp);
    input.setRawMode(true);
    show(printable(prompt));
    input.setEncoding('utf8').on('data', (text: string) => {
      for (const char of text) {
        const key = keyOf(char);
        if (key === 'enter' || (key === 'end' && typed.length === 0)) return end(typed.join(''));
        if (key === 'interrupt') return stopBy('SIGINT');
        if (key === undefined) typed.push(char);
        const erased = erase(typed, key);
        if (isShown) show(key === undefined ? printable(char) : '\b \b'.repeat(erased.length));
      }
    });
  });
}

type Key = 'enter' | 'end' | 'interrupt' | 'erase' | 'all';

/** Takes what the key erases from the end of the text; returns that. */
function erase(typed: string[], key: Key | undefined): string[] {
  if (key === 'erase') return typed.splice(-1);
  return key === 'all' ? typed.splice(0) : [];
}

/** What a key does besides adding itself; as terminals have it by default. */
function keyOf(char: string): Key | undefined {
  const keys: Record<string, Key> = {
    '\r': 'enter',
    '\n': 'enter',
    '\u0003': 'interrupt',
    '\u0004': 'end',
    '\b': 'erase',
    '\u007f': 'erase',
    '\u0015': 'all',
  };
  return keys[char];
}

/** Writes to the terminal; where that has gone, what is read from it says so. */
function show(text: string): void {
  let fd;
  try {
    fd = openSync('/dev/tty', 'w');
    writeSync(fd, text);
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
