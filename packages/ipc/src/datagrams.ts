// A stream over datagrams, which have no end: silence ends it.
import { Duplex } from 'node:stream';
import { IpcFrameDecoder, IpcFrameError } from '@dipus/proto/ipc-frame';
import { Refused } from './answer.ts';
import type { Framing } from './ask-daemon.ts';

export interface DatagramsOptions {
  /** For libipc one datagram is one message with its head; bytes go out in datagrams of at most 1,200. */
  readonly framing: Framing;
  /** Such a silence, of both directions, ends the input; another one breaks the stream. */
  readonly idleMs: number;
  /** Ends the input too. */
  readonly stop: AbortSignal;
  /** Sends one datagram; an error breaks the stream. */
  send(bytes: Buffer, done: (error?: Error | null) => void): void;
  /** It takes no more datagrams. Called once. */
  ended(): void;
  /** It is closed. */
  closed(): void;
}

export interface Datagrams {
  /** Each chunk that is read is a datagram. `stop` ends its input at once; whoever owns it destroys it. */
  readonly stream: Duplex & { stop(): void };
  /** How many were thrown away: more than 1 MiB was waiting, or it was no message. */
  readonly dropped: number;
  /** For how long nothing has come or gone. */
  readonly silentMs: number;
  receive(datagram: Buffer): void;
}

const maxPlainBytes = 1200;
/** What IPv4 carries. */
const maxDatagramBytes = 65_507;
const maxWaitingBytes = 1 << 20;

export function datagrams(options: DatagramsOptions): Datagrams {
  const { framing, idleMs, stop } = options;
  const queue: Buffer[] = [];
  let queuedBytes = 0;
  let dropped = 0;
  let isWanted = false;
  let isEnding = false;
  const cut = framing === 'bytes' ? undefined : new IpcFrameDecoder(framing);

  const pass = (): void => {
    while (isWanted && queue.length > 0) {
      const datagram = queue.shift()!;
      queuedBytes -= datagram.length;
      isWanted = stream.push(datagram);
    }
    if (isEnding && queue.length === 0 && !stream.readableEnded) stream.push(null);
  };
  const endInput = (): void => {
    if (isEnding) return;
    isEnding = true;
    options.ended();
    pass();
  };
  const discardInput = (): void => {
    queue.length = 0;
    endInput();
    pass();
  };
  let lastMs = performance.now();
  const passed = (): void => {
    lastMs = performance.now();
    timer.refresh();
  };
  const timer = setTimeout(() => {
    // An error: without one it would only take no more answers.
    if (isEnding) stream.destroy(new Refused('it was silent'));
    else {
      endInput();
      timer.refresh();
    }
  }, idleMs);

  const sendAll = (parts: readonly Buffer[], done: (error?: Error | null) => void, at = 0): void => {
    const part = parts[at];
    if (!part) return done();
    if (part.length > maxDatagramBytes) return done(new IpcFrameError(`a message of ${part.length} bytes is too long for a datagram`));
    passed();
    options.send(part, (error) => (error ? done(error) : sendAll(parts, done, at + 1)));
  };
  const made = new Duplex({
    allowHalfOpen: true,
    // Objects are never joined.
    readableObjectMode: true,
    readableHighWaterMark: 4,
    read: () => {
      isWanted = true;
      pass();
    },
    write: (chunk: Buffer, _, done) => {
      let parts: readonly Buffer[];
      try {
        parts = cut ? cut.push(chunk).map(({ bytes }) => bytes) : slices(chunk);
      } catch (error) {
        return done(error as Error);
      }
      sendAll(parts, done);
    },
    final: (done) => done(cut && cut.restBytes > 0 ? new IpcFrameError('it ended inside a message') : null),
    destroy: (error, done) => {
      clearTimeout(timer);
      stop.removeEventListener('abort', endInput);
      if (!isEnding) {
        isEnding = true;
        options.ended();
      }
      options.closed();
      done(error);
    },
  });
  const stream = Object.assign(made, { stop: discardInput }).on('error', () => {});
  if (stop.aborted) setImmediate(endInput);
  else stop.addEventListener('abort', endInput);
  return {
    stream,
    get dropped() {
      return dropped;
    },
    get silentMs() {
      return performance.now() - lastMs;
    },
    receive: (datagram) => {
      if (isEnding) return;
      passed();
      if (datagram.length === 0) return;
      if (queuedBytes + datagram.length > maxWaitingBytes || !isWhole(datagram, framing)) {
        dropped++;
        return;
      }
      queue.push(datagram);
      queuedBytes += datagram.length;
      pass();
    },
  };
}

function slices(bytes: Buffer): Buffer[] {
  const count = Math.ceil(bytes.length / maxPlainBytes);
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * maxPlainBytes, (at + 1) * maxPlainBytes));
}

/** Whether a datagram is exactly one message. */
export function isWhole(datagram: Buffer, framing: Framing): boolean {
  if (framing === 'bytes') return true;
  const decoder = new IpcFrameDecoder(framing);
  try {
    return decoder.push(datagram).length === 1 && decoder.restBytes === 0;
  } catch (error) {
    if (error instanceof IpcFrameError) return false;
    throw error;
  }
}
