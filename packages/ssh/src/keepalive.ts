import { timing } from '@dipus/proto/timing';
import type { Connection } from './connection.ts';

const mostUnanswered = 2;

/** Asks the server every timing.pingMs whether it is there; when two of them have stayed without an answer, the connection fails. */
export function keepAlive(connection: Connection): void {
  let isAlive = false;
  let unanswered = 0;
  connection.stream.on('packet', () => (isAlive = true));
  const timer = setInterval(() => {
    if (isAlive) unanswered = 0;
    isAlive = false;
    if (unanswered >= mostUnanswered) return connection.fail(`no answer for ${Math.round((mostUnanswered * timing.pingMs) / 100) / 10} s`);
    unanswered++;
    connection.stream.ping();
  }, timing.pingMs);
  connection.over.addEventListener('abort', () => clearInterval(timer));
}
