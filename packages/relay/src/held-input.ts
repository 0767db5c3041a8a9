// The input of a program, from a connection whose end may be a loss: it is not let through until somebody has certified it. A process of
// its own copies and holds the pipe, so that the program sees no end when this process is killed either.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';

/** How the copying ended: by the connection's end, because the program takes no more, or by a loss. */
export type InputResult = { readonly kind: 'end' | 'refused' } | { readonly kind: 'broken'; readonly reason: string };

export interface HeldInput {
  readonly copied: Promise<InputResult>;
  /** Lets the end through, behind all that came before it. Resolves when the program can see it. */
  pass(): Promise<void>;
  /** Closes the connection and lets go of the pipe: the program, if it still runs, sees an end. */
  release(): void;
}

export interface HeldInputOptions {
  /** The writing end of the program's pipe; owned from now on. */
  readonly writeFd: number;
  /** The process group that must be gone before the pipe ends when this process is killed. */
  readonly group: number;
}

// Descriptor 5 has what was read of the connection before. The status of the copy goes to descriptor 4; a word on 3 certifies the end, and
// its end says that this process is dead. dash knows no `kill -KILL -- -GROUP`.
const script = `trap '' HUP INT TERM
cat <&5 3<&- 4>&- && cat 3<&- 4>&- 5<&-
status=$?
trap '' PIPE
echo $status >&4
exec 4>&-
read -r word <&3 && exit 0
kill -9 -"$1"
exit 1`;

// What a shell makes of SIGPIPE.
const refusedStatus = 141;

/** Copies what a connection sends to a program's pipe. Owns the connection, of which no byte may be read any more, and the pipe. */
export function holdInput(source: Socket, { writeFd, group }: HeldInputOptions): HeldInput {
  source.pause();
  const begun: unknown = source.read();
  const child = spawn('/bin/sh', ['-c', script, 'sh', String(group)], {
    stdio: [source, writeFd, 'ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  if (child.pid === undefined) {
    child.on('error', () => {});
    source.destroy();
    closeSync(writeFd);
    throw new Error('cannot start sh, which copies its input');
  }
  // The child has it now. A copy here would keep it open, and could be read.
  source.destroy();
  const [, , , word, status, beginning] = child.stdio as unknown as Socket[];
  for (const pipe of [word, beginning]) pipe?.on('error', () => {});
  if (begun instanceof Buffer) beginning?.write(begun);
  beginning?.end();
  return new Guarded(child.pid, child, { word: word!, status: status!, writeFd });
}

interface Held {
  readonly word: Socket;
  readonly status: Socket;
  readonly writeFd: number;
}

class Guarded implements HeldInput {
  readonly copied: Promise<InputResult>;
  readonly #pid: number;
  readonly #word: Socket;
  readonly #gone: Promise<unknown>;
  #writeFd: number | undefined;

  constructor(pid: number, child: ChildProcess, { word, status, writeFd }: Held) {
    this.#pid = pid;
    this.#word = word;
    this.#writeFd = writeFd;
    this.#gone = once(child, 'close').catch(() => {});
    this.copied = readStatus(status);
  }

  async pass(): Promise<void> {
    this.#word.end('certified\n');
    await this.#gone;
    this.#letGo();
  }

  release(): void {
    // The group is its own: with it goes the cat that copies.
    try {
      process.kill(-this.#pid, 'SIGKILL');
    } catch {
      // Gone already.
    }
    this.#word.destroy();
    this.#letGo();
  }

  #letGo(): void {
    if (this.#writeFd !== undefined) closeSync(this.#writeFd);
    this.#writeFd = undefined;
  }
}

async function readStatus(pipe: Socket): Promise<InputResult> {
  let text = '';
  pipe.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  await once(pipe, 'close').catch(() => {});
  if (text === '0\n') return { kind: 'end' };
  if (text === `${refusedStatus}\n`) return { kind: 'refused' };
  return { kind: 'broken', reason: text === '' ? 'what copies it was killed' : 'the connection broke off' };
}
