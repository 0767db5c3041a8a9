// One stage of a pipeline, from PREPARE to EXIT (sep(5), Stages). The end of its input is let through only when the client has said that
// it is one. Its bytes go over pipes and through cat(1), as in a shell, and not through this process.
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Exit, SignalName } from '@dipus/proto/control';
import { reasonOf } from '@dipus/proto/failure';
import { linkPreface } from '@dipus/proto/control';
import type { Link, LinkHalf, Prepare, Prepared } from '@dipus/proto/pipe';
import type { SessionError } from '@dipus/proto/session-error';
import { timing } from '@dipus/proto/timing';
import { endGroup, killGroup, signalGroup } from '@dipus/programs/group';
import type { ProgramEnds, StartedProgram } from '@dipus/programs/program';
import { startCountedCopy, type CountedCopy } from '@dipus/relay/counted-copy';
import { makeFifos, type Fifo } from '@dipus/relay/fifo';
import { holdInput } from '@dipus/relay/held-input';
import type { ControlConnection, StageRequest } from './control-connection.ts';
import type { Links } from './links.ts';
import { StageInput } from './stage-input.ts';

/** How a stage ended: with its program's status, or with why there is none. */
export type StageResult = { readonly exit: Exit } | { readonly error: string };

/** A place for one program, held from PREPARE on. */
export interface PreparedStage {
  readonly prepared: Prepared;
  /** Starts the program. The ends stay the stage's. Rejects where it cannot be started. */
  start(ends: ProgramEnds): Promise<StartedProgram>;
  /**
   * Connects to a control socket as the other end of a link: half-open, not read yet; the stage's from then on. Where there is none the
   * stage waits to be called.
   */
  dial?(uri: string, over: AbortSignal): Promise<Socket>;
  /** Gives the place back; comes once. */
  release(result: StageResult): void;
}

/** Gives a place for a stage, or says why there is none. Never rejects. */
export type PrepareStage = (prepare: Prepare) => PreparedStage | SessionError | Promise<PreparedStage | SessionError>;

/** What a stage is made of. */
export interface StageParts {
  readonly links: Links;
  readonly place: PreparedStage;
  readonly prepare: Prepare;
}

export class Stage {
  readonly #joinsStderr: boolean;
  readonly #connection: ControlConnection;
  readonly #links: Links;
  readonly #place: PreparedStage;
  readonly #sockets = new Map<LinkHalf, Socket>();
  readonly #awaited = new Map<LinkHalf, () => void>();
  readonly #timer: NodeJS.Timeout;
  #state: 'linking' | 'running' | 'over' = 'linking';
  #starting: Promise<void> | undefined;
  #program: StartedProgram | undefined;
  #input: StageInput | undefined;
  #output: CountedCopy | undefined;

  /** Answers PREPARED. */
  constructor(connection: ControlConnection, { links, place, prepare }: StageParts) {
    this.#joinsStderr = prepare.stderr === 'stdout';
    this.#connection = connection;
    this.#links = links;
    this.#place = place;
    this.#timer = setTimeout(() => this.#fail('its client has not begun it in time'), timing.stageMs).unref();
    connection.prepared(place.prepared);
  }

  handle(request: StageRequest): void {
    if (request.kind === 'link') this.#link(request.link);
    if (request.kind === 'go') void this.#go();
    if (request.kind === 'end') this.#input?.certify(request.bytes);
  }

  signal(name: SignalName): void {
    if (this.#state === 'running' && this.#program) signalGroup(this.#program.pid, name);
  }

  /** Its client has gone: nobody says any more how its input ended, so its program must not see an end. */
  gone(): void {
    void this.#abandon('its client has gone');
  }

  #link({ half, token, to }: Link): void {
    if (this.#state !== 'linking') return;
    if (this.#sockets.has(half)) return this.#fail(`its ${half} is linked twice`);
    this.#awaited.get(half)?.();
    this.#awaited.delete(half);
    if (to) void this.#call(half, token, to);
    else this.#await(half, token);
  }

  #await(half: LinkHalf, token: string): void {
    const cancel = this.#links.await(token, {
      half,
      found: (socket) => {
        this.#awaited.delete(half);
        this.#sockets.set(half, socket);
        this.#connection.linked({ half });
      },
      late: () => {
        this.#awaited.delete(half);
        this.#connection.linked({ half, error: 'nobody has connected in time' });
      },
    });
    if (cancel) this.#awaited.set(half, cancel);
    else this.#connection.linked({ half, error: 'too many connections are waited for' });
  }

  /** Calls the stage at the other end of a link, as whoever writes to it or reads from it. */
  async #call(half: LinkHalf, token: string, to: readonly string[]): Promise<void> {
    const over = new AbortController();
    this.#awaited.set(half, () => over.abort());
    let reason = 'this service calls nobody';
    for (const uri of this.#place.dial ? to : []) {
      const result = await this.#place.dial!(uri, over.signal).catch((error: unknown) => reasonOf(error));
      if (over.signal.aborted) return typeof result === 'string' ? undefined : void result.destroy();
      if (typeof result === 'string') {
        reason = `${uri}: ${result}`;
        continue;
      }
      this.#awaited.delete(half);
      this.#sockets.set(half, await shown(result, half, token));
      return this.#connection.linked({ half, via: uri });
    }
    this.#awaited.delete(half);
    this.#connection.linked({ half, error: reason });
  }

  async #go(): Promise<void> {
    if (this.#state !== 'linking') return;
    if (this.#awaited.size > 0) return this.#fail('GO came before its connections');
    this.#state = 'running';
    clearTimeout(this.#timer);
    try {
      this.#starting = this.#start();
      await this.#starting;
      if (this.#isOver()) return;
      this.#connection.started(false);
      await this.#finish(this.#program!);
    } catch (error) {
      this.#fail(`cannot run its program: ${reasonOf(error)}`);
    }
  }

  async #start(): Promise<void> {
    const [source, target] = [this.#sockets.get('in'), this.#sockets.get('out')];
    const fifos = await makeFifos(this.#sockets.size);
    const stdin = source && fifos.shift();
    const stdout = target && fifos.shift();
    try {
      this.#program = await this.#place.start({
        stdin: stdin?.readFd ?? 'ignore',
        stdout: stdout?.writeFd ?? 'ignore',
        readStderr: (bytes, drained) => this.#connection.stderr(bytes, drained),
        joinsStderr: this.#joinsStderr,
      });
    } catch (error) {
      for (const fifo of [stdin, stdout]) if (fifo) for (const fd of [fifo.readFd, fifo.writeFd]) closeSync(fd);
      throw error;
    }
    if (target && stdout) this.#output = this.#copyOut(stdout, target);
    if (source && stdin) this.#input = this.#holdIn(stdin, source);
  }

  #copyOut({ readFd, writeFd }: Fifo, target: Socket): CountedCopy {
    closeSync(writeFd);
    const copy = startCountedCopy(readFd, target);
    closeSync(readFd);
    void copy.ended.then((how) => {
      if (how.kind === 'broken') this.#fail(`its output broke off: ${how.reason}`);
    });
    return copy;
  }

  #holdIn({ readFd, writeFd }: Fifo, source: Socket): StageInput {
    closeSync(readFd);
    const { pid, exited } = this.#program!;
    const input = new StageInput(holdInput(source, { writeFd, group: pid }), this.#connection);
    // Nobody is to read what is left as if it were all: what the program leaves in its group goes first.
    void exited.then(() => {
      if (!this.#isOver()) void input.drop(() => killGroup(pid));
    });
    return input;
  }

  async #finish(program: StartedProgram): Promise<void> {
    const exit = await program.ended;
    // A copier that is lost later would cut off what this status says is whole.
    const output = await this.#output?.ended;
    if (this.#isOver()) return;
    this.#state = 'over';
    this.#connection.exit({ ...exit, ...(output?.kind === 'end' && { out: output.bytes }) });
    this.#place.release({ exit });
  }

  #fail(reason: string): void {
    if (this.#isOver()) return;
    this.#connection.fail({ reason, retry: false });
    void this.#abandon(reason);
  }

  async #abandon(reason: string): Promise<void> {
    if (this.#isOver()) return;
    this.#state = 'over';
    clearTimeout(this.#timer);
    for (const cancel of this.#awaited.values()) cancel();
    await this.#starting?.catch(() => {});
    if (this.#program) await endGroup(this.#program.pid);
    this.#output?.stop();
    await this.#input?.drop();
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#place.release({ error: reason });
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }
}

/** Shows the token to the other stage, of which this half is the other one. */
async function shown(socket: Socket, half: LinkHalf, token: string): Promise<Socket> {
  socket.on('error', () => {}).pause();
  // What copies takes over the connection: nothing may wait in this process.
  await new Promise<void>((resolve) => socket.write(linkPreface(half === 'in' ? 'out' : 'in', token), () => resolve()));
  if (half === 'in') socket.end();
  return socket;
}
