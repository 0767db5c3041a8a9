// The input of a program, from a connection whose end may be a loss: it is not let through until somebody has certified it. A process of
// its own copies and holds the pipe, so that the program sees no end when this process is killed either.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Duplex, Writable } from 'node:stream';
import { startProcess } from '@dipus/programs/start-process';
import { pumpChanged, type Change, type Changing, type Passed } from './changed-pump.ts';
import { lastChildOf, lookAtCopier, type CopyState } from './copier-state.ts';
import { bytesOf, dd, isPlainSocket, type CountedResult } from './counted-copy.ts';
import type { CopyResult } from './copy-result.ts';
import { pump } from './pump.ts';

export interface HeldInput {
  readonly copied: Promise<CountedResult>;
  /** How far the copying is; undefined where that cannot be seen. */
  look(): CopyState | undefined;
  /** Says which process group reads it: that must be gone before the pipe ends when this process is killed. Comes once. */
  serves(group: number): void;
  /** Lets the end through, behind all that came before it. Resolves when the program can see it. */
  pass(): Promise<void>;
  /** Closes the connection and lets go of the pipe: the program, if it still runs, sees an end. */
  release(): void;
}

export interface HeldInputOptions {
  /** The writing end of the program's pipe; owned from now on. */
  readonly writeFd: number;
  /** What becomes of the bytes on their way, through this process; how many have come is counted before. */
  readonly change?: Change;
}

// Descriptor 5 has what was read of the connection before. What dd tells goes to 6, the status of the copy to 4. A line on 3 names the
// group, a word behind it certifies the end, and its end says that this process is dead: where that comes before the group, the program
// may have been started all the same, and is killed by its guard meanwhile. dash knows no `kill -KILL -- -GROUP`.
const script = `trap '' HUP INT TERM
chrt -b -p 0 $$ </dev/null >/dev/null 2>&1 3<&- 4>&- 5<&- 6>&-
cat <&5 3<&- 4>&- 6>&- && ${dd} 3<&- 4>&- 5<&- 2>&6 6>&-
status=$?
trap '' PIPE
echo $status >&4
exec 4>&- 6>&-
read -r group <&3 || exec sleep 2
read -r word <&3 && exit 0
kill -9 -"$group"
exit 1`;

// What a shell makes of SIGPIPE.
const refusedStatus = 141;

/**
 * Copies what a connection sends to the pipe of a program that is started behind it; what is no plain socket comes through this process.
 * Owns the connection, of which no byte may be read any more, and the pipe, also where it throws.
 */
export function holdInput(source: Duplex, { writeFd, change }: HeldInputOptions): HeldInput {
  source.pause();
  const plain = !change && isPlainSocket(source) ? source : undefined;
  const begun: unknown = plain?.read();
  const child = startCopier(plain, writeFd);
  if (child?.pid === undefined) {
    child?.on('error', () => {});
    source.destroy();
    closeSync(writeFd);
    throw new Error(child ? 'cannot start sh, which copies its input' : 'the connection of its input is lost');
  }
  // The child has it now. A copy here would keep it open, and could be read.
  plain?.destroy();
  const [, , , word, status, beginning, report] = child.stdio as unknown as Socket[];
  for (const pipe of [word, beginning]) pipe?.on('error', () => {});
  if (begun instanceof Buffer) beginning?.write(begun);
  beginning?.end();
  const told = resultOf(textOf(status!), textOf(report!), begun instanceof Buffer ? begun.length : 0);
  const changing: Changing | undefined = change && { change, passed: { in: 0, out: 0 } };
  const copied = plain ? told : throughHere({ source, target: child.stdin!, told, changing });
  return new Guarded(child, { source, copied, word: word!, writeFd, passed: changing?.passed });
}

/** Undefined where the connection is lost already. One that has ended, with nothing in it, Node may have closed: that is no loss. */
function startCopier(source: Socket | undefined, writeFd: number): ChildProcess | undefined {
  const hasEnded = source?.readableEnded;
  if (source?.destroyed && !hasEnded) return undefined;
  return startProcess('/bin/sh', ['-c', script], {
    stdio: [hasEnded ? 'ignore' : (source ?? 'pipe'), writeFd, 'ignore', 'pipe', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
    detached: true,
  });
}

interface ThroughHere {
  readonly source: Duplex;
  /** What copies on. */
  readonly target: Writable;
  /** What that says when it has ended. */
  readonly told: Promise<CountedResult>;
  readonly changing: Changing | undefined;
}

function throughHere({ source, target, told, changing }: ThroughHere): Promise<CountedResult> {
  const pumped = changing ? pumpChanged(source, target, changing) : pump(source, target);
  return Promise.race([changing ? whatCame(told, changing.passed) : told, lossOf(pumped, target)]);
}

/** Of what was changed on its way those bytes are counted that came. */
async function whatCame(told: Promise<CountedResult>, passed: Passed): Promise<CountedResult> {
  const how = await told;
  return how.kind === 'end' ? { kind: 'end', bytes: passed.in } : how;
}

/** Ends what copies on with the source. Resolves only where that is lost: the copying then goes on without an end. */
async function lossOf(pumped: Promise<CopyResult>, target: Writable): Promise<CountedResult> {
  const how = await pumped;
  if (how.kind === 'read-error') return { kind: 'broken', reason: how.reason };
  if (how.kind === 'end') target.end();
  return new Promise(() => {});
}

interface Held {
  readonly source: Duplex;
  readonly copied: Promise<CountedResult>;
  readonly word: Socket;
  readonly writeFd: number;
  readonly passed: Passed | undefined;
}

class Guarded implements HeldInput {
  readonly copied: Promise<CountedResult>;
  readonly #source: Duplex;
  readonly #child: ChildProcess;
  readonly #word: Socket;
  readonly #gone: Promise<unknown>;
  readonly #passed: Passed | undefined;
  #writeFd: number | undefined;
  #last: CopyState | undefined;

  constructor(child: ChildProcess, { source, copied, word, writeFd, passed }: Held) {
    this.copied = copied;
    this.#source = source;
    this.#child = child;
    this.#word = word;
    this.#writeFd = writeFd;
    this.#passed = passed;
    void copied.then((how) => (this.#last = how.kind === 'end' ? { bytes: how.bytes, isWriting: undefined } : undefined));
    this.#gone = once(child, 'close').catch(() => {});
  }

  look(): CopyState | undefined {
    const looked = this.#last ?? lookAtCopier(lastChildOf(this.#child.pid), 'target');
    return looked && { ...looked, ...(this.#passed && { bytes: this.#passed.in }) };
  }

  serves(group: number): void {
    this.#word.write(`${group}\n`);
  }

  async pass(): Promise<void> {
    this.#word.end('certified\n');
    await this.#gone;
    this.#letGo();
  }

  release(): void {
    // The group is its own: with it goes the dd that copies.
    try {
      process.kill(-this.#child.pid!, 'SIGKILL');
    } catch {
      // Gone already.
    }
    this.#word.destroy();
    this.#letGo();
  }

  #letGo(): void {
    this.#source.destroy();
    if (this.#writeFd !== undefined) closeSync(this.#writeFd);
    this.#writeFd = undefined;
  }
}

/** `before`: how many bytes were not dd's. */
async function resultOf(status: Promise<string>, report: Promise<string>, before: number): Promise<CountedResult> {
  const ended = await status;
  // Without a status dd may go on, and hold its report, until the connection ends.
  const told = ended === '0\n' ? bytesOf(await report) : undefined;
  if (told !== undefined) return { kind: 'end', bytes: before + told };
  if (ended === `${refusedStatus}\n`) return { kind: 'refused' };
  return { kind: 'broken', reason: ended === '' ? 'what copies it was killed' : 'the connection broke off' };
}

async function textOf(pipe: Socket): Promise<string> {
  let text = '';
  pipe.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  await once(pipe, 'close').catch(() => {});
  return text;
}
