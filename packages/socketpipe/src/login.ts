import type { Readable, Writable } from 'node:stream';
import { deferred, inTime, type Deferred } from '@dipus/proto/waiting';
import { startCommand, type CommandResult } from './command.ts';
import { takeLines } from './take-lines.ts';
import { readNotice, type Notice } from './order.ts';

/** The running login command. */
export interface Login {
  /** Its name and first argument, for messages. */
  readonly name: string;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Settles when it has ended and its stderr has been shown. */
  readonly ended: Promise<CommandResult>;
  /** Settles when the remote end has said so. */
  told<K extends Notice['kind']>(kind: K): Promise<Extract<Notice, { kind: K }>>;
  kill(signal: NodeJS.Signals): void;
}

// A process left behind may hold stderr open for ever.
const stderrMs = 1_000;

/**
 * Starts the login command with `words` behind it. Its stdin is ours, and so is its stderr: ssh makes what it inherits non-blocking, for
 * everybody who shares it.
 */
export function startLogin(login: readonly string[], words: readonly string[], showStderr: (bytes: Buffer) => void): Login {
  const command = startCommand([...login, ...words], ['pipe', 'pipe', 'pipe']);
  const [stdin, stdout, stderr] = [command.child.stdin!, command.child.stdout!, command.child.stderr!];
  stdin.on('error', () => {});
  stdout.on('error', () => {});
  stderr.on('data', showStderr).on('error', () => {});
  const shown = new Promise((resolve) => stderr.on('close', resolve));
  const notices = collectNotices(stdout);
  return {
    name: login.slice(0, 2).join(' '),
    stdin,
    stdout,
    told: notices,
    kill: (signal) => command.kill(signal),
    ended: command.ended.then(async (ending) => {
      await inTime(stderrMs, shown);
      stderr.destroy();
      return ending;
    }),
  };
}

/** Gives the terminal to the login command, until the returned function takes it back. */
export function lendTerminal(terminal: Readable, login: Login): () => void {
  const forward = (bytes: Buffer): void => void (login.stdin.writable && login.stdin.write(bytes));
  terminal.on('data', forward).on('error', () => {});
  return () => {
    terminal.off('data', forward);
    terminal.destroy();
  };
}

function collectNotices(stdout: Readable): Login['told'] {
  const told = new Map<string, Deferred<Notice>>();
  const slot = (kind: string): Deferred<Notice> => {
    const known = told.get(kind);
    if (known) return known;
    const made = deferred<Notice>();
    told.set(kind, made);
    return made;
  };
  takeLines(stdout, (line) => {
    const notice = readNotice(line);
    if (notice) slot(notice.kind).resolve(notice);
    return notice?.kind === 'carry';
  });
  return (kind) => slot(kind).promise as ReturnType<Login['told']> as never;
}
