// An answer by HTTP to whoever gets no WebSocket: its status, and the reason in a line.
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { isExpected, Refused } from '@dipus/ipc/answer';
import { reasonOf } from '@dipus/proto/failure';
import { formatHttpAnswer } from '@dipus/proto/http-answer';
import { timing } from '@dipus/proto/timing';

/** A request that is refused with a status of its own. */
export class HttpRefusal extends Refused {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, reason: string, headers: Readonly<Record<string, string>> = {}) {
    super(reason);
    this.status = status;
    this.headers = headers;
  }
}

/** By the words in which ways in are refused, ipcd's among them; anything else is a service that cannot be opened. */
const statuses: Readonly<Record<string, number>> = { 'no such service': 404, 'not allowed': 403, 'resource temporarily unavailable': 503 };
const unopened = 502;

export function refusalOf(error: unknown): HttpRefusal {
  if (error instanceof HttpRefusal) return error;
  if (!isExpected(error)) return new HttpRefusal(500, 'internal error');
  const reason = reasonOf(error);
  return new HttpRefusal(statuses[reason] ?? unopened, reason);
}

/** Answers on a connection that nobody else answers on, and closes it; what still comes is read away for a moment. */
export function refuse(connection: Socket, { status, message, headers }: HttpRefusal): void {
  if (connection.destroyed) return;
  connection.end(formatHttpAnswer({ status: `${status} ${STATUS_CODES[status]}`, headers, text: message }));
  const timer = setTimeout(() => connection.destroy(), timing.refusedBodyMs);
  connection
    .once('end', () => connection.destroy())
    .once('close', () => clearTimeout(timer))
    .resume();
}
