// Requests to an exporter, by the platform's HTTP client, each on a connection of its own.
import { request, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import type { Dialled } from '@dipus/proto/remote';
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
  const sent = send(host, await host.connect(), { target, headers: { Accept: accept } });
  const answer = await headOf<IncomingMessage>(sent, { host, target }, (resolve) => sent.on('response', resolve));
  if (answer.statusCode === 200) return answer;
  throw await refusal(host, target, answer);
}

/**
 * Connects to a service as sep(5) says: `kind` is which half of a session this is, undefined the plain socket. Half-open, not read yet.
 * Rejects with Failure; where the exporter said no, its code is what the exporter met: EACCES, ENOENT, ECONNREFUSED (dead), EAGAIN (busy).
 */
export async function dialService(host: ExporterAddress, service: Service, kind: SocketKind | undefined): Promise<Duplex> {
  const { connection, accepted } = await dialServiceEarly(host, service, kind);
  await accepted;
  return connection;
}

/** The same without waiting for the answer: what is written goes right behind the request. */
export async function dialServiceEarly(host: ExporterAddress, service: Service, kind: SocketKind | undefined): Promise<Dialled> {
  const target = targetOf(service);
  const connection = await host.connect();
  const headers = { Connection: 'Upgrade', Upgrade: sepProtocol, ...(kind && { [socketHeader]: kind }) };
  const sent = send(host, connection, { target, headers });
  const accepted = switched(host, target, sent);
  accepted.catch(() => {});
  // The head is written in the turn in which the request gets its connection.
  await Promise.race([new Promise((resolve) => sent.once('socket', resolve)), accepted]);
  return { connection, accepted };
}

async function switched(host: ExporterAddress, target: string, sent: ClientRequest): Promise<void> {
  const answer = await headOf<IncomingMessage | undefined>(sent, { host, target }, (resolve) => {
    sent.on('response', resolve);
    sent.on('upgrade', (_answer, socket: Duplex, head) => {
      socket.pause();
      if (head.length > 0) socket.unshift(head);
      resolve(undefined);
    });
  });
  if (answer) throw await refusal(host, target, answer);
}

interface Asked {
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
}

function send(host: ExporterAddress, connection: Duplex, { target, headers }: Asked): ClientRequest {
  return request({ method: 'GET', path: target, headers: { Host: authority(host), ...headers }, createConnection: () => connection });
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
    if (host.closed?.aborted) close();
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
  const failure = new Failure(
    'connect to',
    `${formatAddress(host)}${target}`,
    Object.assign(said, { code: codes[answer.statusCode ?? 0] }),
  );
  return failure.withHint(speaksTls(line) ? `use ${formatAddress({ ...host, scheme: 'seps' })}` : undefined);
}

/** Whether an exporter says that it takes no plain text. */
function speaksTls(reason: string): boolean {
  return reason.startsWith('this exporter speaks only TLS');
}
