// Which relayed connections are the two of one session: what happens to one of them says what the end of the other means.
import { setTimeout as sleep } from 'node:timers/promises';
import { parsePreface, parseStart } from '@dipus/proto/control';
import { FrameDecoder, frameType } from '@dipus/proto/frame';
import { timing } from '@dipus/proto/timing';
import { isProven, type Endpoint } from '@dipus/relay/endpoint';
import { relay, type Relay, type RelayOptions, type RelayResult } from '@dipus/relay/relay';
import type { SessionHalf } from './opening.ts';

/** A session as its relays see it. */
interface RelayedSession {
  control?: Relay;
  data?: Relay;
  /** The service has ended its control connection. */
  isOver: boolean;
  /** All of its answer is at the client. */
  isAnswered: boolean;
  /** Its client has gone, or may have, before the service had ended it. */
  isLost: boolean;
}

/** Relays of connections to control sockets, of which `a` is the client's side. Understands no more than which belong together. */
export class SessionRelays {
  readonly #sessions = new Map<string, RelayedSession>();

  /**
   * As relay(): an error of one connection of a session ends both, the control connection at once, and data is never given a false end.
   * `half` says which this is where its opening has been read; else it is looked for in what passes.
   */
  relay(a: Endpoint, b: Endpoint, { half, ...options }: Pick<RelayOptions, 'mayHandOver'> & { readonly half?: SessionHalf } = {}): Relay {
    let session: RelayedSession | undefined;
    let isControl = false;
    let isOneWay = half?.isOneWay === true;
    const found = ({ kind, token, ...shown }: SessionHalf): void => {
      isOneWay = shown.isOneWay === true;
      if (token === undefined) return;
      isControl = kind === 'control';
      session = this.#session(token);
      session[kind] = started;
    };
    const beginning = half ? undefined : new Beginning(found);
    const started = relay(a, b, {
      ...options,
      isOneWay: () => isOneWay,
      // The service ends the program when control is closed; until then its input must have no end. A client knows an end by its EXIT.
      isHeld: (end) => session !== undefined && !isControl && end === b,
      took: (chunk) => beginning?.take(chunk),
      mayEnd: async () => {
        if (isControl && session && !session.isOver) session.isLost = true;
        if (isControl || !session || isProven(a)) return true;
        await sleep(timing.endMs);
        // A client leaves on its EXIT, which may be before the service's own end has come by here.
        if (session.isLost) await sleep(timing.endMs);
        return !session.isLost;
      },
      mayAnswer: async () => {
        // Nothing runs any more that could take a cut for an end, and a client leaves on its EXIT, before this is passed on.
        if (isControl && session) Object.assign(session, { isOver: true, isLost: false });
        return true;
      },
      answered: () => {
        if (!session) return;
        if (!isControl) session.isAnswered = true;
        if (a.kind === 'unix') part(session);
      },
    });
    if (half) found(half);
    void started.ended.then((how) => {
      if (!session) return;
      this.#ended(session, isControl, how);
      if (a.kind === 'unix') part(session);
    });
    // A client that has seen its end may leave as it likes.
    const ended = started.ended.then((how) => (session && (isControl ? session.isOver : isParting(session)) ? 'done' : how));
    return { ended, break: () => started.break() };
  }

  /** Counts a data connection that goes another way than through a relay. */
  add(token: string, data: Relay): void {
    const session = this.#session(token);
    session.data = data;
    void data.ended.then((how) => this.#ended(session, false, how));
  }

  /** Ends a session whose other connection could not be made. */
  break(token: string | undefined): void {
    if (token === undefined) return;
    this.#sessions.get(token)?.control?.break();
    this.#sessions.get(token)?.data?.break();
  }

  #session(token: string): RelayedSession {
    let session = this.#sessions.get(token);
    if (!session) {
      session = { isOver: false, isAnswered: false, isLost: false };
      this.#sessions.set(token, session);
    }
    return session;
  }

  #ended(session: RelayedSession, isControl: boolean, how: RelayResult): void {
    if (how === 'broken') {
      if (isControl && !session.isOver) session.isLost = true;
      if (isControl && session.isLost) session.data?.break();
      if (!isControl) session.control?.break();
    }
    if (isControl) delete session.control;
    else delete session.data;
    if (session.control || session.data) return;
    for (const [token, each] of this.#sessions) if (each === session) this.#sessions.delete(token);
  }
}

/** Whether a session is over: nobody is left to read what its client may still send. */
function isParting({ control, isOver, isAnswered }: RelayedSession): boolean {
  return !control && isOver && isAnswered;
}

/** Closes the connection of a client on this host, which gets all the same what it has not read yet: it may wait for that. */
function part(session: RelayedSession): void {
  if (isParting(session)) session.data?.break();
}

// A START is smaller than this; what is longer belongs to no session that we need to know.
const maxBeginningBytes = 70_000;

/** Reads the preface of a connection, and the token in it or in the START behind it. */
class Beginning {
  readonly #found: (half: SessionHalf) => void;
  #bytes: Buffer | undefined = Buffer.alloc(0);
  #decoder: FrameDecoder | undefined;

  constructor(found: (half: SessionHalf) => void) {
    this.#found = found;
  }

  take(chunk: Buffer): void {
    if (this.#bytes === undefined) return;
    if (this.#decoder) return this.#readFrames(chunk);
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const preface = parsePreface(this.#bytes);
    if (preface === undefined) return;
    if (preface === 'broken' || preface.kind === 'pass') return void (this.#bytes = undefined);
    if (preface.kind === 'data') return this.#tell({ kind: 'data', token: preface.token });
    if (preface.kind !== 'control') return this.#tell({ kind: 'data', isOneWay: true });
    this.#decoder = new FrameDecoder();
    this.#readFrames(preface.rest);
  }

  #readFrames(chunk: Buffer): void {
    if (chunk.length > maxBeginningBytes) return void (this.#bytes = undefined);
    try {
      const frame = this.#decoder!.push(chunk).find(({ type }) => type === frameType.start || type === frameType.prepare);
      if (frame?.type === frameType.prepare) return this.#tell({ kind: 'control' });
      const start = frame && parseStart(frame.payload);
      if (start) this.#tell({ kind: 'control', token: start.token });
    } catch {
      // The service will say what is wrong with it.
      this.#bytes = undefined;
    }
  }

  #tell(half: SessionHalf): void {
    this.#bytes = undefined;
    this.#found(half);
  }
}
