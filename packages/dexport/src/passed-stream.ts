// The data connection of a session, given to the service itself, whose program then has it as its stdin and stdout: nothing is relayed
// (sep(5), Passed connections).
import type { Socket } from 'node:net';
import { giveConnection } from '@dipus/descriptors/connection';
import { openDescriptor, setBlocking } from '@dipus/descriptors/passing';
import { parsePreface, passPreface } from '@dipus/proto/control';
import { startReading, stopReadingSoon } from '@dipus/proto/handle';
import { timing } from '@dipus/proto/timing';
import type { Relay, RelayResult } from '@dipus/relay/relay';
import { resetTcp } from '@dipus/relay/reset';

/**
 * The token of a data connection that has sent no more than its preface, which is read then, and of which nothing is read any more.
 * Undefined of any other, where what was read comes again.
 */
export async function readToken(client: Socket): Promise<string | undefined> {
  const begun = await readPreface(client);
  if (!begun) return undefined;
  await stopReadingSoon(client);
  if (client.readableLength === 0) return begun.token;
  client.unshift(begun.bytes);
  startReading(client);
  return undefined;
}

function readPreface(client: Socket): Promise<{ readonly token: string; readonly bytes: Buffer } | undefined> {
  let bytes: Buffer = Buffer.alloc(0);
  return new Promise((resolve) => {
    const settle = (token: string | undefined): void => {
      clearTimeout(timer);
      client.off('data', read).off('end', lost).off('close', lost).pause();
      resolve(token === undefined ? undefined : { token, bytes });
    };
    const leave = (): void => {
      settle(undefined);
      if (bytes.length > 0) client.unshift(bytes);
    };
    // With a part of its preface, or none: it is relayed as it is.
    const lost = (): void => settle(undefined);
    const read = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const preface = parsePreface(bytes);
      if (preface === undefined) return;
      if (typeof preface === 'object' && preface.kind === 'data' && preface.rest.length === 0) settle(preface.token);
      else leave();
    };
    const timer = setTimeout(leave, timing.prefaceMs);
    client.on('data', read).on('end', lost).on('close', lost).resume();
  });
}

/** From the giving of a connection to its end, which is this process's to make. Owns both connections. */
export class PassedStream implements Relay {
  readonly ended: Promise<RelayResult>;
  readonly #client: Socket;
  readonly #carrier: Socket;
  #settle!: (how: RelayResult) => void;
  #isOver = false;

  constructor(client: Socket, carrier: Socket, token: string) {
    this.#client = client.setNoDelay(true).setKeepAlive(true, timing.keepAliveMs);
    this.#carrier = carrier;
    this.ended = new Promise((resolve) => (this.#settle = resolve));
    carrier.on('error', () => {});
    carrier.write(passPreface(token));
    giveConnection(carrier, client).then(
      () => carrier.once('close', () => this.#part()).once('end', () => carrier.destroy()),
      () => this.break(),
    );
  }

  break(): void {
    this.#end('broken');
    this.#carrier.destroy();
    resetTcp(this.#client);
  }

  /** Nobody else has the connection any more. Closing it now, with input unread, would destroy the answer on its way. */
  #part(): void {
    if (this.#isOver) return;
    if (this.#client.destroyed) return this.#end('broken');
    // Its program has had it waiting in read(2).
    setBlocking(openDescriptor(this.#client), false);
    const done = (): void => {
      clearTimeout(timer);
      this.#end('done');
      this.#client.destroy();
    };
    const timer = setTimeout(done, timing.lingerMs);
    startReading(this.#client);
    this.#client.once('end', done).once('close', done).resume().end();
  }

  #end(how: RelayResult): void {
    this.#isOver = true;
    this.#settle(how);
  }
}
