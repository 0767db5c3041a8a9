// Requests to an exporter, by the platform's HTTP client, each on a connection of its own.
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import { connect, Socket, type NetConnectOpts } from 'node:net';
import type { DuplexOptions } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import { sepProtocol, socketHeader, targetOf, type SocketKind } from '@dipus/proto/sep';
import type { Service } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { readBody, inWords } from './body.ts';
import { authority, formatAddress, type ExporterAddress } from './address.ts';

// What a status stands for, as the system would name it.
const codes: Readonly<Record<number, string>> = { 403: 'EACCES', 404: 'ENOENT', 502: 'ECONNREFUSED', 503: 'EAGAIN' };

const maxReasonBytes = 1000;
const maxInterim = 100;

/** The answer's head, its body unread. Rejects with Failure, for a status that is not 200 too. */
export async function get(host: ExporterAddress, target: string, accept: string): Promise<IncomingMessage> {
  const sent = send(host, target, { Accept: accept });
  const answer = await headOf<IncomingMessage>(sent, { host, target }, (resolve) => sent.on('response', resolve));
  if (answer.statusCode === 200) return answer;
  throw await refusal(host, target, answer);
}

/**
 * Connects to a service as sep(5) says: `kind` is which half of a session this is, undefined the plain socket. Half-open, not read yet.
 * Rejects with Failure; where the exporter said no, its code is what the exporter met: EACCES, ENOENT, ECONNREFUSED (dead), EAGAIN (busy).
 */
export async function dialService(host: ExporterAddress, service: Service, kind: SocketKind | undefined): Promise<Socket> {
  const target = targetOf(service);
  const sent = send(host, target, { Connection: 'Upgrade', Upgrade: sepProtocol, ...(kind && { [socketHeader]: kind }) });
  const result = await headOf<Socket | IncomingMessage>(sent, { host, target }, (resolve) => {
    sent.on('response', resolve);
    sent.on('upgrade', (_answer, socket: Socket, head) => {
      socket.pause();
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
  });
  if (result instanceof Socket) return result;
  throw await refusal(host, target, result);
}

function send(host: ExporterAddress, target: string, headers: Record<string, string>): ClientRequest {
  const createConnection = (): Socket => connectUnhurried(host);
  return request({ method: 'GET', path: target, headers: { Host: authority(host), ...headers }, createConnection });
}

// One for all connections: what it holds is copied before anything else is read.
const readBuffer = Buffer.allocUnsafe(65_536);

/**
 * A connection that reads from the kernel only while somebody wants its bytes: pause() stops it at once, so that what comes behind the 101
 * is there for whichever process the descriptor is handed to. An ordinary socket reads on until its buffer is full.
 */
function connectUnhurried({ host, port, lookup }: ExporterAddress): Socket {
  // readableHighWaterMark: else a paused stream fills its buffer. It goes on to the stream (net.Socket), which the types do not say.
  const options: NetConnectOpts & DuplexOptions = {
    host,
    port,
    // Node's own client would close the whole connection at the exporter's FIN.
    allowHalfOpen: true,
    noDelay: true,
    ...(lookup && { lookup }),
    readableHighWaterMark: 0,
    onread: { buffer: readBuffer, callback: (length) => socket.push(Buffer.from(readBuffer.subarray(0, length))) },
  };
  const socket: Socket = connect(options);
  return socket;
}

function headOf<T>(
  sent: ClientRequest,
  { host, target }: { readonly host: ExporterAddress; readonly target: string },
  listen: (resolve: (value: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = (): void => void sent.destroy(new Error(`no answer within ${timing.headMs / 1000} s`));
    const timer = setTimeout(late, timing.headMs);
    const close = (): void => void sent.destroy(new Error('given up'));
    const settle = (): void => {
      clearTimeout(timer);
      host.closed?.removeEventListener('abort', close);
    };
    host.closed?.addEventListener('abort', close, { once: true });
    const failed = (error: unknown): void => {
      settle();
      reject(new Failure('connect to', `${formatAddress(host)}${target === '/' ? '' : target}`, inWords(firstOf(error))));
    };
    let interim = 0;
    sent.on('information', () => ++interim > maxInterim && sent.destroy(new Error('it sends interim answers without end')));
    sent.on('error', failed);
    listen((value) => {
      settle();
      resolve(value);
    });
    sent.end();
  });
}

/** Of the errors of several addresses the first is told. */
function firstOf(error: unknown): unknown {
  return error instanceof AggregateError ? (error.errors[0] ?? error) : error;
}

async function refusal(host: ExporterAddress, target: string, answer: IncomingMessage): Promise<Failure> {
  // The status says enough where nothing can be read.
  const reason = await readBody(answer, { maxBytes: maxReasonBytes, ms: timing.refusedBodyMs }).then(String, () => '');
  const line = reason.split('\n')[0]!.slice(0, maxReasonBytes).trim();
  const said = new Error(line === '' ? `answered ${answer.statusCode}` : line);
  return new Failure('connect to', `${formatAddress(host)}${target}`, Object.assign(said, { code: codes[answer.statusCode ?? 0] }));
}
