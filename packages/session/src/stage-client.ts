import type { Duplex } from 'node:stream';
import type { SignalName } from '@dipus/proto/control';
import { formatPayload } from '@dipus/proto/json-payload';
import { encodeFrame, frameType, type Frame } from '@dipus/proto/frame';
import { parsePrepared, type Prepare, type Prepared } from '@dipus/proto/pipe';
import {
  parseEnded,
  parseFlow,
  parseLinked,
  type InputEnded,
  type Link,
  type Linked,
  type LinkHalf,
  type StageFlow,
} from '@dipus/proto/pipe-link';
import { deferred, type Deferred } from '@dipus/proto/waiting';
import { ClientConnection, type SessionResult } from './client-connection.ts';

export interface StageEvents {
  /** Bytes that its program wrote to its stderr. */
  stderr(bytes: Buffer): void;
  /** Its input has ended and waits for `certify`, or has broken off. */
  inputEnded(how: InputEnded): void;
  /** All of its output has gone over its link; it may go on. */
  outputEnded?(): void;
  /** How far it is, where PREPARE has asked for that. */
  flow?(flow: StageFlow): void;
}

/** A stage that ended where more was awaited of it; `result` says how. */
export class StageOver extends Error {
  readonly result: SessionResult;

  constructor(result: SessionResult) {
    super(reasonOf(result));
    this.result = result;
  }
}

/** The client's side of one stage (sep(5), Stages). Owns its control connection. */
export class StageClient {
  /** How it ended: comes once, and never rejects. Not after `close`. */
  readonly ended: Promise<SessionResult>;
  readonly #connection: ClientConnection;
  readonly #over = deferred<SessionResult>();
  readonly #prepared = deferred<Prepared>();
  readonly #started = deferred();
  readonly #linked = new Map<LinkHalf, Deferred<Linked>>();
  readonly #listening = new Map<LinkHalf, Deferred<Linked>>();
  #isOver = false;

  /** Sends PREPARE. */
  constructor(control: Duplex, prepare: Prepare, events: StageEvents) {
    this.ended = this.#over.promise;
    this.#connection = new ClientConnection(control, {
      started: () => this.#started.resolve(),
      waiting: () => {},
      stderr: (bytes) => events.stderr(bytes),
      other: (frame) => this.#take(frame, events),
      ended: (outcome) => this.#end(outcome),
    });
    for (const { promise } of [this.#prepared, this.#started]) promise.catch(() => {});
    this.#connection.begin(encodeFrame(frameType.prepare, formatPayload(prepare)), true);
  }

  /** What it says of itself. Rejects with StageOver where it cannot be a stage. */
  get prepared(): Promise<Prepared> {
    return this.#prepared.promise;
  }

  /** Tells it to wait for a connection. Resolves when that is there, or is not to be had; rejects with StageOver. */
  async link(link: Link): Promise<Linked> {
    if (this.#isOver) throw new StageOver(await this.ended);
    const linked = deferred<Linked>();
    this.#linked.set(link.half, linked);
    this.#send(frameType.link, formatPayload(link));
    return linked.promise;
  }

  /**
   * Lets it wait for a connection at a port of its own. `listening` is where, nowhere if that cannot be had; `linked` settles as that of
   * `link` does.
   */
  async listen(link: Omit<Link, 'listen' | 'to'>): Promise<{ listening: readonly string[]; linked: Promise<Linked> }> {
    const opened = deferred<Linked>();
    this.#listening.set(link.half, opened);
    const linked = this.link({ ...link, listen: true });
    const { listening = [] } = await Promise.race([opened.promise, linked]);
    return { listening, linked };
  }

  /** Starts its program. Rejects with StageOver. */
  async go(): Promise<void> {
    this.#send(frameType.go);
    await this.#started.promise;
  }

  /** Its whole input has so many bytes: where that is what came, its end is let through. */
  certify(bytes: number): void {
    this.#send(frameType.inputEnd, formatPayload({ bytes }));
  }

  signal(name: SignalName): void {
    this.#send(frameType.signal, name);
  }

  /** Its program is ended, and sees no end of its input. */
  close(): void {
    this.#connection.close();
  }

  #send(type: number, payload = ''): void {
    this.#connection.send(encodeFrame(type, payload));
  }

  #take({ type, payload }: Frame, events: StageEvents): void {
    if (type === frameType.prepared) {
      const prepared = parsePrepared(payload);
      if (prepared) this.#prepared.resolve(prepared);
    }
    if (type === frameType.linked) {
      const linked = parseLinked(payload);
      if (linked) (linked.listening ? this.#listening : this.#linked).get(linked.half)?.resolve(linked);
    }
    if (type === frameType.flow) {
      const flow = parseFlow(payload);
      if (flow) events.flow?.(flow);
    }
    if (type === frameType.ended) {
      const ended = parseEnded(payload);
      if (ended?.half === 'in') events.inputEnded(ended);
      if (ended?.half === 'out') events.outputEnded?.();
    }
  }

  #end(outcome: SessionResult): void {
    this.#isOver = true;
    const over = new StageOver(outcome);
    this.#prepared.reject(over);
    this.#started.reject(over);
    for (const { reject } of this.#linked.values()) reject(over);
    this.#over.resolve(outcome);
  }
}

function reasonOf(outcome: SessionResult): string {
  if ('lost' in outcome) return outcome.lost;
  return 'error' in outcome ? outcome.error.reason : 'its program has ended';
}
