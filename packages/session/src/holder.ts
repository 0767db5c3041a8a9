// A process that outlives this one by a moment, and has the data connections of sessions too. Where this one is killed their services have
// lost their control connections, and end their programs before an end of these could pass for the end of what was sent.
import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { descriptorOf, type Handle } from '@dipus/proto/handle';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import { closedByPeer } from '@dipus/relay/closed-by-peer';
import { forkProcess, startProcess } from '@dipus/programs/start-process';
import { sendCopy, sendWith, socketOf } from './passed-socket.ts';

/** How a process is started that calls runHolder(). */
export interface HolderProgram {
  readonly file: string;
  readonly args: readonly string[];
}

type Message = { readonly hold: number } | { readonly release: number };

/** Starts the process when first needed, and ends it when it was idle for timing.idleHolderMs. */
export class Holder {
  readonly #program: HolderProgram;
  readonly #held = new Map<number, Socket>();
  #child: ChildProcess | undefined;
  #idle: NodeJS.Timeout | undefined;
  #next = 0;
  #isReady = false;
  #standIns = 0;

  constructor(program: HolderProgram) {
    this.#program = program;
  }

  /** Has a UNIX socket, which stays the caller's, held from now on until it is closed. */
  hold(socket: Socket): void {
    const id = this.#next++;
    this.#held.set(id, socket);
    socket.once('close', () => this.#release(id));
    clearTimeout(this.#idle);
    if (this.#child) this.#send(id, socket);
    else this.#begin();
  }

  /** What is held still is so until its services have closed it. */
  close(): void {
    clearTimeout(this.#idle);
    const child = this.#child;
    this.#child = undefined;
    if (child?.connected) child.disconnect();
  }

  /** Whatever is held goes to it, also what one before it had. */
  #begin(): void {
    this.#child = this.#start();
    for (const [id, socket] of this.#held) this.#send(id, socket);
  }

  #start(): ChildProcess {
    const { file, args } = this.#program;
    const child = forkProcess(file, [...args], { cwd: '/', detached: true, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const over = (signal?: NodeJS.Signals | null): void => {
      if (this.#child === child) this.#again(signal && this.#isReady ? 0 : timing.keepMs);
    };
    this.#isReady = false;
    child.once('message', () => (this.#isReady = true));
    child
      .on('error', () => over())
      .once('exit', (_code, signal) => over(signal))
      .unref();
    child.channel?.unref();
    return child;
  }

  /** One that somebody has killed is replaced at once; where none can be started for now, it is tried again, and by the next session. */
  #again(pauseMs: number): void {
    this.#child = undefined;
    if (this.#held.size === 0) return;
    setTimeout(() => this.#child || this.#held.size === 0 || this.#begin(), pauseMs).unref();
  }

  #send(id: number, socket: Socket): void {
    if (!this.#child) return;
    const sent = sendCopy(this.#child, { hold: id } satisfies Message, socket);
    // One goes to a process that does not run yet; the next ones wait until it does.
    if (!this.#isReady && this.#standIns < maxStandIns) this.#standIn(socket, sent);
  }

  /** Lets a small process hold a connection until `sent`. */
  #standIn(socket: Socket, sent: Promise<void>): void {
    const fd = descriptorOf(socket);
    if (fd === undefined) return;
    const args = ['-c', standIn, 'sh', String(Math.ceil(timing.heldMs / 1000))];
    const child = startProcess('/bin/sh', args, { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore', fd] });
    this.#standIns++;
    child.on('error', () => {}).unref();
    const word = child.stdin as Socket;
    word.on('error', () => {}).unref();
    void sent.then(() => {
      this.#standIns--;
      word.end('done\n');
    });
  }

  #release(id: number): void {
    this.#held.delete(id);
    if (this.#child) sendWith(this.#child, { release: id } satisfies Message);
    if (this.#held.size === 0) this.#idle = setTimeout(() => this.close(), timing.idleHolderMs).unref();
  }
}

const maxStandIns = 64;
// It has the connection as descriptor 3. Without a word its parent has been killed.
const standIn = `trap '' HUP INT TERM
read -r word || exec sleep "$1"`;

/** The work of that process: holds what it gets until its parent lets go, or has gone and what is left is closed, or timing.heldMs on. */
export async function runHolder(): Promise<void> {
  const held = new Map<number, Handle>();
  process.on('message', (message: Message, handle: Handle | undefined) => {
    if ('hold' in message) {
      if (handle) held.set(message.hold, handle);
      return;
    }
    held.get(message.release)?.close();
    held.delete(message.release);
  });
  // Its parent may have been killed before it ran: what it was sent by then is there all the same.
  const disconnected = new Promise<void>((resolve) => process.once('disconnect', resolve));
  process.send?.({}, undefined, {}, () => {});
  await disconnected;
  const sockets = [...held.values()].map((handle) => socketOf(handle).on('error', () => {}));
  const closed = new AbortController();
  void Promise.all(sockets.map(closedByPeer)).then(() => closed.abort());
  await pause(timing.heldMs, closed.signal);
  for (const socket of sockets) socket.destroy();
}
