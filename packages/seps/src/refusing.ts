// How whoever may not come in is told so.
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { encodeGoodbye } from '@dipus/proto/channel-frame';
import { formatHttpAnswer } from '@dipus/proto/http-answer';
import { timing } from '@dipus/proto/timing';
import { protocolName } from './secured.ts';

export interface Refusing {
  readonly raw: Socket;
  readonly socket: TLSSocket;
  /** That of HTTP. */
  readonly status: number;
  readonly text: string;
}

/** Says why in what the other side speaks, and closes. Nothing of what it has sent is looked at. */
export function refuse({ raw, socket, status, text }: Refusing): void {
  socket.end(socket.alpnProtocol === protocolName.channels ? encodeGoodbye(text) : httpAnswer(status, text));
  readAway(socket, raw);
}

/** Answers somebody who speaks HTTP without TLS. */
export function tellPlain(raw: Socket): void {
  raw.end(httpAnswer(400, 'this exporter speaks only TLS here: use seps://'));
  readAway(raw, raw);
}

function httpAnswer(status: number, text: string): string {
  return formatHttpAnswer({ status: `${status} ${STATUS_CODES[status]}`, text });
}

/** What is still sent must not turn the answer into a reset. */
function readAway(socket: Socket, raw: Socket): void {
  const timer = setTimeout(() => raw.destroy(), timing.refusedBodyMs);
  raw.once('close', () => clearTimeout(timer));
  socket.once('end', () => socket.destroySoon()).resume();
}
