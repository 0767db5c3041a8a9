// A TLS connection whose ends can be relied on: Node does not tell the end of TLS from that of TCP, which anybody on the way can make.
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { Refused } from '@dipus/ipc/answer';
import type { ChannelStream } from '@dipus/relay/endpoint';
import { resetTcp } from '@dipus/relay/reset';
import { ownProtocol } from './secure.ts';

/**
 * The stream of a secured connection, which it owns with the one below it. Between two of ours it is chunks, `u32 length | bytes`, and
 * length 0 ends a direction: an end without it is an error, and so is a destruction before both. With any other peer it is the bytes
 * themselves.
 */
export function sealed(secured: TLSSocket, below: Socket): Duplex {
  return secured.alpnProtocol === ownProtocol ? marked(secured, below) : plain(secured, below);
}

const endMark = Buffer.alloc(4);

function marked(secured: TLSSocket, below: Socket): Duplex {
  const chunks = new Chunks();
  const made: ChannelStream = streamOver(secured, below, {
    write: (bytes, done) => {
      const head = Buffer.allocUnsafe(4);
      head.writeUInt32BE(bytes.length);
      secured.cork();
      // A head of 0 would be an end.
      if (bytes.length > 0) secured.write(head);
      secured.write(bytes, done);
      secured.uncork();
    },
    end: (done) => void secured.write(endMark, done),
    take: (bytes) => chunks.take(bytes, (part) => made.push(part)),
    ended: () => (chunks.hasEnded ? undefined : new Refused('it was cut: the connection ended without the mark of an end')),
  });
  // Loss is always told from an end.
  made.reset = () => void made.destroy();
  return made;
}

function plain(secured: TLSSocket, below: Socket): Duplex {
  const made = streamOver(secured, below, {
    write: (bytes, done) => void secured.write(bytes, done),
    end: (done) => void secured.end(done),
    take: (bytes) => made.push(bytes),
    ended: () => void made.push(null),
  });
  return made;
}

interface Coding {
  write(bytes: Buffer, done: (error?: Error | null) => void): void;
  end(done: (error?: Error | null) => void): void;
  /** Passes on what has come; false: that is enough for now. Throws where it is not understood. */
  take(bytes: Buffer): boolean;
  /** The connection has ended; returns why that is an error. */
  ended(): Refused | undefined;
}

function streamOver(secured: TLSSocket, below: Socket, coding: Coding): Duplex {
  const made = new Duplex({
    allowHalfOpen: true,
    read: () => void secured.resume(),
    write: (bytes: Buffer, _, done) => coding.write(bytes, done),
    final: (done) => coding.end(done),
    destroy: (error, done) => {
      if (made.readableEnded && made.writableFinished) close(secured);
      else cut(secured, below);
      done(error);
    },
  });
  let hasEnded = false;
  secured.on('data', (bytes: Buffer) => {
    try {
      if (!coding.take(bytes)) secured.pause();
    } catch (error) {
      made.destroy(error as Error);
    }
  });
  secured.on('end', () => {
    hasEnded = true;
    const error = coding.ended();
    if (error) made.destroy(error);
  });
  secured.on('error', (error) => made.destroy(error));
  secured.on('close', () => hasEnded || made.readableEnded || made.destroy(new Refused('the connection was lost')));
  secured.pause();
  return made;
}

/** Both directions have ended: the other side has taken all, or sends nothing more. */
function close(secured: TLSSocket): void {
  if (secured.writableFinished) return void secured.destroy();
  secured.once('finish', () => secured.destroy()).end();
}

/** By a reset, where that may be. */
function cut(secured: TLSSocket, below: Socket): void {
  // An end that is on its way is of TLS: the connection below knows nothing of it.
  if (secured.writableEnded && !secured.writableFinished) below.destroy();
  else resetTcp(below);
  secured.destroy();
}

/** Reads chunks wherever they are cut; what has come of one is passed on. */
class Chunks {
  hasEnded = false;
  #head: Buffer = Buffer.alloc(0);
  #left = 0;

  /** Returns what `push` did; a mark of the end pushes null. Throws for bytes behind it. */
  take(bytes: Buffer, push: (part: Buffer | null) => boolean): boolean {
    let isTaken = true;
    for (let rest = bytes; rest.length > 0;) {
      if (this.hasEnded) throw new Refused('bytes came behind the end');
      if (this.#left > 0) {
        const part = rest.subarray(0, this.#left);
        this.#left -= part.length;
        rest = rest.subarray(part.length);
        isTaken = push(part);
        continue;
      }
      const wanted = 4 - this.#head.length;
      this.#head = Buffer.concat([this.#head, rest.subarray(0, wanted)]);
      rest = rest.subarray(wanted);
      if (this.#head.length < 4) break;
      this.#left = this.#head.readUInt32BE();
      this.#head = Buffer.alloc(0);
      if (this.#left > 0) continue;
      this.hasEnded = true;
      push(null);
    }
    return isTaken;
  }
}
