// A program on a terminal, relayed to a connection. Two cat(1) hold the terminal's other end, so that it may block them, and never this
// process; what goes between them and the connection passes through here.
import type { ChildProcess, StdioOptions } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Exit, Terminal, TerminalSize } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { runner } from '@dipus/relay/runner';
import { pump } from '@dipus/relay/pump';
import { endGroup, signalGroup } from '@dipus/programs/group';
import type { Command } from '@dipus/programs/program';
import { startProcess } from '@dipus/programs/start-process';
import type { Program } from './socket-program.ts';
import { startPty, type Pty, type PtyMaker } from './pty.ts';

const eof = '\u0004';
// The kernel ends them with us, which hangs up their terminal.
const cat = [...(runner ?? []), 'cat'] as [string, ...string[]];

/**
 * Starts a command on a terminal and relays it to the connection, which it owns from now on. The connection's end becomes the terminal's
 * end-of-file character; its close hangs up. `ended` comes behind all output, and rejects where some is lost. Throws where no terminal or
 * process is to be had.
 */
export function startOnPty(maker: PtyMaker, command: Command, { connection, terminal }: OnPty): Program {
  const pty = startPty(maker, command, terminal);
  const cats: ChildProcess[] = [];
  try {
    cats.push(startCat([pty.master, 'pipe', 'ignore']), startCat(['pipe', pty.master, 'ignore']));
    const [reader, writer] = cats as [ChildProcess, ChildProcess];
    return new Relayed(pty, { reader, writer, connection });
  } catch (error) {
    for (const each of cats) each.kill('SIGKILL');
    signalGroup(pty.pid, 'KILL');
    throw error;
  } finally {
    closeSync(pty.master);
  }
}

interface OnPty {
  readonly connection: Socket;
  readonly terminal: Terminal;
}

// A group of its own: ^C at a terminal of ours is not for it.
function startCat(stdio: StdioOptions): ChildProcess {
  const [file, ...args] = cat;
  const child = startProcess(file, args, { stdio, detached: true });
  child.on('error', () => {});
  if (child.pid === undefined) throw new Error('no process can be started for its terminal');
  return child;
}

interface RelayedOptions {
  /** From the terminal to us. */
  readonly reader: ChildProcess;
  /** From us to the terminal. */
  readonly writer: ChildProcess;
  readonly connection: Socket;
}

class Relayed implements Program {
  readonly pid: number;
  readonly ended: Promise<Exit>;
  readonly #pty: Pty;
  readonly #options: RelayedOptions;
  readonly #reader: Promise<CatResult>;
  readonly #writer: Promise<CatResult>;
  readonly #timers: NodeJS.Timeout[] = [];
  #hasExited = false;
  #isStopped = false;
  #isClientGone = false;

  constructor(pty: Pty, options: RelayedOptions) {
    this.pid = pty.pid;
    this.#pty = pty;
    this.#options = options;
    this.#reader = goneOf(options.reader);
    this.#writer = goneOf(options.writer);
    void pty.exited.then(() => (this.#hasExited = true));
    this.#watchClient();
    this.ended = this.#run();
    void this.#passInput();
  }

  resize(size: TerminalSize): void {
    this.#pty.resize(size);
  }

  end(): void {
    if (this.#hasExited) this.#options.connection.destroy();
    else void endGroup(this.pid);
  }

  kill(): void {
    if (this.#hasExited) this.#options.connection.destroy();
    else signalGroup(this.pid, 'KILL');
  }

  abandon(): void {
    if (this.#isClientGone || this.#isStopped) return;
    this.#isClientGone = true;
    this.#options.connection.destroy();
    void this.#hangUp();
  }

  // With the last of those that hold its other end the terminal is hung up: its programs get HUP from the kernel. The leader may not care.
  async #hangUp(): Promise<void> {
    this.#stopCats();
    await Promise.all([this.#reader, this.#writer]);
    if (!this.#hasExited) await endGroup(this.pid);
  }

  // Without reading on, a client that has closed shows only in a write, be it of nothing.
  #watchClient(): void {
    const { connection } = this.#options;
    const look = (): void => {
      if (connection.writableLength === 0) connection.write(Buffer.alloc(0));
    };
    this.#timers.push(setInterval(look, timing.keepMs).unref());
    connection.on('error', () => {}).once('close', () => this.abandon());
  }

  async #run(): Promise<Exit> {
    const { reader, connection } = this.#options;
    const sent = await pump(reader.stdout!, connection);
    if (sent.kind === 'refused') this.abandon();
    const isWhole = sent.kind === 'end' && (await this.#reader) === 'itself';
    // The terminal ends with its program.
    if (isWhole) await Promise.race([this.#pty.exited, delay(timing.stderrDrainMs)]);
    if (!isWhole || !this.#hasExited) void this.#hangUp();
    const exit = await this.#pty.exited;
    this.#stopCats();
    await Promise.all([this.#reader, this.#writer]);
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    connection.end(() => connection.destroy());
    if (!isWhole && !this.#isClientGone) throw new Error('some of the output of its terminal was lost');
    return exit;
  }

  async #passInput(): Promise<void> {
    const { writer, connection } = this.#options;
    let endsLine = true;
    connection.on('data', (bytes: Buffer) => (endsLine = bytes.at(-1) === 0x0a || bytes.at(-1) === 0x0d));
    const passed = await pump(connection, writer.stdin!);
    // Within a line the character only ends the line (termios(3), VEOF): it takes a second one.
    if (passed.kind === 'end') this.#tellEnd(endsLine ? eof : eof + eof, timing.eofMs);
  }

  // Again and again, as a pipe has its end again and again: a program that is not ready yet drops the first, or makes another character of
  // it.
  #tellEnd(text: string, ms: number): void {
    const { stdin } = this.#options.writer;
    if (this.#isStopped || this.#hasExited) return;
    if (stdin?.writableLength === 0) stdin.write(text);
    this.#timers.push(setTimeout(() => this.#tellEnd(eof, ms * 1.5), ms).unref());
  }

  #stopCats(): void {
    for (const each of [this.#options.reader, this.#options.writer]) each.kill('SIGKILL');
  }
}

type CatResult = 'itself' | 'killed';

/** How a cat ended. At the end of a terminal it fails with EIO. */
function goneOf(child: ChildProcess): Promise<CatResult> {
  return once(child, 'exit').then(([, signal]) => (signal === null ? 'itself' : 'killed'));
}
