import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { formatHttpAnswer } from '@dipus/proto/http-answer';
import { sepVersion, versionHeader } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';

/** A request that is not granted: its status and the one line that says why. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  constructor(status: number, reason: string, headers: Readonly<Record<string, string>> = {}) {
    super(reason);
    this.status = status;
    this.headers = headers;
  }
}

/** 503: come again in a moment. */
export function busy(reason: string): Refusal {
  return new Refusal(503, reason, { 'Retry-After': '1' });
}

/** 404: also for what others may use. */
export function notExported(): Refusal {
  return new Refusal(404, 'no such service is exported');
}

const maxRefusedBytes = 64 << 20;

/**
 * Answers on a connection that the HTTP server does not answer for. What the client still sends is read away for a moment, then it is
 * closed.
 */
export function refuseRaw(socket: Socket, refusal: Refusal, lingerMs: number = timing.refusedBodyMs): void {
  if (!socket.writable) return void socket.destroy();
  const status = `${refusal.status} ${STATUS_CODES[refusal.status]}`;
  socket.on('error', () => {});
  socket.end(formatHttpAnswer({ status, headers: headersOf(refusal), text: refusal.message }));
  readAway(socket, socket, lingerMs);
}

/** Answers a request. Its body is read away, so that the client sees the reason. */
export function refuse(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  response.writeHead(refusal.status, { 'Content-Type': 'text/plain; charset=utf-8', ...headersOf(refusal) });
  response.end(`${refusal.message}\n`);
  if (!request.complete) readAway(request, request.socket, timing.refusedBodyMs);
}

function headersOf(refusal: Refusal): Record<string, string> {
  return { [versionHeader]: sepVersion, ...refusal.headers };
}

/** Reads away what comes, up to a limit and a time, then closes the connection. */
export function readAway(source: IncomingMessage | Socket, socket: Socket, ms: number): void {
  let bytes = 0;
  const timer = setTimeout(() => socket.destroy(), ms).unref();
  source.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxRefusedBytes) socket.destroy();
  });
  source.once('end', () => {
    clearTimeout(timer);
    if (source === socket) socket.destroy();
  });
  source.once('close', () => clearTimeout(timer));
  source.resume();
}
