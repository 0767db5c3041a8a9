// One stage of a pipeline, from PREPARE to EXIT (sep(5), Stages). The end of its input is let through only when the client has said that
// it is one. Its bytes go over pipes and through cat(1), as in a shell, and not through this process.
import { closeSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { Exit, SignalName } from '@dipus/proto/control';
import { reasonOf } from '@dipus/proto/failure';
import type { Prepare, Prepared } from '@dipus/proto/pipe';
import type { Link, LinkOrigin } from '@dipus/proto/pipe-link';
import type { SessionError } from '@dipus/proto/session-error';
import { timing } from '@dipus/proto/timing';
import { endGroup, groupGone, killGroup, signalGroup } from '@dipus/programs/group';
import type { ProgramEnds, StartedProgram } from '@dipus/programs/program';
import type { Change } from '@dipus/relay/changed-pump';
import { blockBytes, startCountedCopy, type CountedCopy } from '@dipus/relay/counted-copy';
import { makeFifos, reopenable, type Fifo } from '@dipus/relay/fifo';
import { holdInput, type HeldInput } from '@dipus/relay/held-input';
import type { ControlConnection, StageRequest } from './control-connection.ts';
import { reportFlow } from './flow-report.ts';
import type { Links } from './links.ts';
import { StageInput } from './stage-input.ts';
import { StageLinks, type LinkWays } from './stage-links.ts';
import type { StageChanges, StageObjects } from './stage-objects.ts';

/** How a stage ended: with its program's status, or with why there is none. */
export type StageResult = { readonly exit: Exit } | { readonly error: string };

/** How many bytes of its input and output have passed, as far as that can be seen. */
export interface WatchedBytes {
  readonly in?: number;
  readonly out?: number;
}

/** How many descriptors a stage holds at most: its connections, both ends of its pipes for a while, and what it shares with its copiers. */
export const descriptorsOfStage = 12;

/** A place for one program, held from PREPARE on. */
export interface PreparedStage extends LinkWays {
  readonly prepared: Prepared;
  /** Starts the program, whose input comes `from` somewhere. The ends stay the stage's. Rejects where it cannot be started. */
  start(ends: ProgramEnds, from: LinkOrigin | undefined): Promise<StartedProgram>;
  /** Its input and output are objects. */
  readonly objects?: StageObjects;
  /** Lets a pipe hold this many bytes, if that can be done: one read of what copies then empties it. */
  widen?(fd: number, bytes: number): void;
  /** Told when it has started how to see how far it is. */
  watched?(look: () => WatchedBytes): void;
  /** Gives the place back; comes once. */
  release(result: StageResult): void;
}

/** Gives a place for a stage, or says why there is none; `control` is its client's connection. Never rejects. */
export type PrepareStage = (prepare: Prepare, control: Duplex) => PreparedStage | SessionError | Promise<PreparedStage | SessionError>;

/** What a stage is given besides its connection. */
export interface StageOptions {
  readonly links: Links;
  readonly place: PreparedStage;
  readonly prepare: Prepare;
}

export class Stage {
  readonly #prepare: Prepare;
  readonly #connection: ControlConnection;
  readonly #connections: StageLinks;
  readonly #place: PreparedStage;
  readonly #timer: NodeJS.Timeout;
  #state: 'linking' | 'running' | 'over' = 'linking';
  #starting: Promise<void> | undefined;
  #program: StartedProgram | undefined;
  #input: StageInput | undefined;
  #output: CountedCopy | undefined;
  #endReport: () => void = () => {};
  /** What came while its program was being started: it is for that all the same. */
  #wholeBytes: number | undefined;
  readonly #signals = new Set<SignalName>();

  /** Answers PREPARED. */
  constructor(connection: ControlConnection, { links, place, prepare }: StageOptions) {
    this.#prepare = prepare;
    this.#connection = connection;
    this.#connections = new StageLinks(connection, links, place);
    this.#place = place;
    this.#timer = setTimeout(() => this.#fail('its client has not begun it in time', true), timing.stageMs).unref();
    connection.prepared(place.prepared);
  }

  handle(request: StageRequest): void {
    if (request.kind === 'link') this.#link(request.link);
    if (request.kind === 'go') void this.#go();
    if (request.kind === 'end') this.#certify(request.bytes);
  }

  signal(name: SignalName): void {
    if (this.#state !== 'running') return;
    if (this.#program) signalGroup(this.#program.pid, name);
    else this.#signals.add(name);
  }

  /** Its client has gone: nobody says any more how its input ended, so its program must not see an end. */
  gone(): void {
    void this.#abandon('its client has gone');
  }

  #link(link: Link): void {
    if (this.#state !== 'linking') return;
    const wrong = this.#connections.link(link);
    if (wrong !== undefined) this.#fail(wrong);
  }

  #certify(bytes: number): void {
    if (this.#input) this.#input.certify(bytes);
    else this.#wholeBytes = bytes;
  }

  async #go(): Promise<void> {
    if (this.#state !== 'linking') return;
    if (!this.#connections.areComplete) return this.#fail('GO came before its connections');
    this.#state = 'running';
    clearTimeout(this.#timer);
    try {
      this.#starting = this.#start();
      await this.#starting;
      if (this.#isOver()) return;
      this.#place.watched?.(() => this.#bytes());
      this.#reportFlow();
      await this.#finish(this.#program!);
    } catch (error) {
      this.#fail(`cannot run its program: ${reasonOf(error)}`);
    }
  }

  async #start(): Promise<void> {
    const [source, target] = [this.#connections.get('in'), this.#connections.get('out')];
    const fifos = await makeFifos([source, target].filter((one) => one !== undefined).length);
    for (const { writeFd } of fifos) this.#place.widen?.(writeFd, blockBytes);
    const stdin = source && fifos.shift();
    const stdout = target && fifos.shift();
    const from = this.#connections.from;
    const open = new Set([stdin, stdout].flatMap((fifo) => (fifo ? [fifo.readFd, fifo.writeFd] : [])));
    let changes: StageChanges | undefined;
    let held: HeldInput | undefined;
    try {
      changes = this.#place.objects && (await this.#changesOf(this.#place.objects, from));
      const ends: ProgramEnds = {
        stdin: stdin?.readFd ?? 'ignore',
        stdout: stdout?.writeFd ?? 'ignore',
        readStderr: (bytes, drained) => this.#connection.stderr(bytes, drained),
        joinsStderr: this.#prepare.stderr === 'stdout',
      };
      if (source && stdin) {
        open.delete(stdin.writeFd);
        // Before the program: a pipe that only this process held would end with it, and look like the end of an input.
        held = holdInput(source, { writeFd: stdin.writeFd, ...(changes?.input && { change: changes.input }) });
      }
      this.#program = await this.#place.start(ends, from);
    } catch (error) {
      held?.release();
      for (const fd of open) closeSync(fd);
      throw error;
    }
    const letIn = stdin && reopenable(stdin.readFd);
    if (stdin) closeSync(stdin.readFd);
    // Before anything is told of its input, which may have ended already.
    if (!this.#isOver()) this.#connection.started(false);
    if (held) this.#input = this.#inputOf(held, this.#program);
    if (this.#input) void letIn?.(this.#input.passed, groupOver(this.#program));
    if (target && stdout) this.#output = this.#copyOut(stdout, target, changes?.output);
    if (this.#wholeBytes !== undefined) this.#input?.certify(this.#wholeBytes);
    for (const name of this.#signals) signalGroup(this.#program.pid, name);
  }

  async #changesOf(objects: StageObjects, from: LinkOrigin | undefined): Promise<StageChanges> {
    const { objectChanges } = await import('./stage-objects.ts');
    const { stage } = this.#prepare;
    return objectChanges(objects, from, (text) => this.#connection.stderr(Buffer.from(`dpipes: stage ${stage}: ${text}\n`), () => {}));
  }

  #copyOut({ readFd, writeFd }: Fifo, target: Duplex, change: Change | undefined): CountedCopy {
    closeSync(writeFd);
    const letIn = reopenable(readFd);
    let copy: CountedCopy | undefined;
    try {
      copy = startCopier(readFd, target, change);
    } finally {
      const over = groupOver(this.#program!);
      // Where it has ended nobody has it any more who could open it again.
      void letIn(copy?.ended ?? over, copy?.ended.then((how) => (how.kind === 'end' ? undefined : over)) ?? over);
    }
    void copy.ended.then((how) => {
      if (how.kind === 'end') this.#connection.linkEnded({ half: 'out', bytes: how.bytes });
      if (how.kind === 'broken') this.#fail(`its output: ${how.reason}`);
    });
    return copy;
  }

  #inputOf(held: HeldInput, { pid, exited }: StartedProgram): StageInput {
    held.serves(pid);
    const input = new StageInput(held, this.#connection);
    // Nobody is to read what is left as if it were all: what the program leaves in its group goes first.
    void exited.then(() => {
      if (!this.#isOver()) void input.drop(() => killGroup(pid));
    });
    return input;
  }

  #bytes(): WatchedBytes {
    const [input, output] = [this.#input?.look()?.bytes, this.#output?.look()?.bytes];
    return { ...(input !== undefined && { in: input }), ...(output !== undefined && { out: output }) };
  }

  #reportFlow(): void {
    const { flowMs } = this.#prepare;
    if (flowMs === undefined) return;
    const [input, output] = [this.#input, this.#output];
    this.#endReport = reportFlow({ everyMs: flowMs, input, output, send: (flow) => this.#connection.flow(flow) });
  }

  async #finish(program: StartedProgram): Promise<void> {
    const exit = await program.ended;
    // A copier that is lost later would cut off what this status says is whole.
    const output = await this.#output?.ended;
    if (this.#isOver()) return;
    this.#endReport();
    this.#state = 'over';
    this.#connection.exit({ ...exit, ...(output?.kind === 'end' && { out: output.bytes }) });
    this.#place.release({ exit });
  }

  #fail(reason: string, retry = false): void {
    if (this.#isOver()) return;
    this.#connection.fail({ reason, retry });
    void this.#abandon(reason);
  }

  async #abandon(reason: string): Promise<void> {
    if (this.#isOver()) return;
    this.#state = 'over';
    this.#endReport();
    clearTimeout(this.#timer);
    await this.#starting?.catch(() => {});
    if (this.#program) await endGroup(this.#program.pid);
    this.#output?.stop();
    await this.#input?.drop();
    this.#connections.close();
    this.#place.release({ error: reason });
  }

  #isOver(): boolean {
    return this.#state === 'over';
  }
}

/** What its program has left in its group may open its input and output again too. */
async function groupOver({ pid, ended }: StartedProgram): Promise<void> {
  await ended;
  await groupGone(pid);
}

/** Throws where the connection is lost already. The descriptor is closed in any case. */
function startCopier(readFd: number, target: Duplex, change: Change | undefined): CountedCopy {
  try {
    return startCountedCopy(readFd, target, change);
  } finally {
    closeSync(readFd);
  }
}
