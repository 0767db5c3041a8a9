// What etcd answers: one JSON object, or a stream of them, a line each. Every answer is bounded, in bytes and in time.
import type { IncomingMessage } from 'node:http';
import { Failure } from '@dipus/proto/failure';
import { parseObject } from '@dipus/proto/json-payload';
import { Lines } from '@dipus/proto/lines';
import { timing } from '@dipus/proto/timing';

export type Answer = Readonly<Record<string, unknown>>;

/** The most bytes of an answer, or of one line of a stream. */
const maxAnswerBytes = 16 * 1024 * 1024;

// Of gRPC.
const codes = { notFound: 5, unauthenticated: 16 } as const;

/** etcd has answered that it will not do that. */
export class EtcdError extends Error {
  readonly isNotFound: boolean;
  /** The token is not good any more. */
  readonly isStaleToken: boolean;
  /** It does not know any more what is asked for. */
  readonly isCompacted: boolean;

  constructor(reason: string, code: unknown, isCompacted = false) {
    super(reason.replace(/^etcdserver: /, ''));
    this.isCompacted = isCompacted;
    this.isNotFound = code === codes.notFound;
    this.isStaleToken = code === codes.unauthenticated || isAboutToken(reason);
  }
}

/** Whether etcd says that it must be authenticated to again: tokens expire, and are lost when it is started anew. */
function isAboutToken(reason: string): boolean {
  return /invalid auth token|revision of auth store is old/.test(reason);
}

export interface StreamOptions {
  take(line: Answer): boolean;
  readonly quietMs: number;
  readonly stop: AbortSignal;
}

/** Rejects with EtcdError for what etcd refuses, with Failure where this is no answer of an etcd. */
export async function readAnswer(response: IncomingMessage, printed: string): Promise<Answer> {
  const fail = (reason: string): Failure => new Failure('ask', printed, reason);
  const bytes = await readAll(response).catch((error: Error) => {
    throw fail(error.message);
  });
  const answer = parseObject(bytes);
  if (!answer) throw fail(notEtcd(response, bytes));
  if (response.statusCode === 200 && answer['error'] === undefined) return answer;
  throw errorIn(answer) ?? fail(notEtcd(response, bytes));
}

/** What else answers, or what etcd says where it has no code for it: its first line, where that is text. */
function notEtcd({ statusCode, headers }: IncomingMessage, bytes: Buffer): string {
  const text = headers['content-type']?.startsWith('text/plain') ? bytes.toString('utf8', 0, 200).split('\n')[0]!.trim() : '';
  return `it does not answer as etcd does: HTTP ${statusCode}${text === '' ? '' : `, ${text}`}`;
}

/** What an answer, or a line of a stream, says went wrong. */
export function errorIn(answer: Answer): EtcdError | undefined {
  const { error, message, code } = answer;
  // In a stream it is an object of its own.
  if (typeof error === 'object' && error !== null) {
    const inner = error as Answer;
    return new EtcdError(String(inner['message']), inner['grpc_code']);
  }
  const reason = message ?? error;
  return typeof reason === 'string' ? new EtcdError(reason, code) : undefined;
}

/** What a refusal says. */
export async function reasonIn(response: IncomingMessage): Promise<string> {
  const answer = parseObject(await readAll(response));
  const { message } = errorIn(answer ?? {}) ?? {};
  return message ?? `HTTP ${response.statusCode}`;
}

async function readAll(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => response.destroy(new Error(`no whole answer within ${timing.registryMs / 1000} s`)), timing.registryMs);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxAnswerBytes) throw new Error('its answer is too long');
    }
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(chunks);
}

/** Resolves when there is nothing more, for whichever reason. Rejects with what `take` throws. */
export async function readLines(response: IncomingMessage, { take, quietMs, stop }: StreamOptions): Promise<void> {
  const end = (): void => void response.destroy();
  const lines = new Lines(maxAnswerBytes, (line) => {
    const answer = parseObject(Buffer.from(line));
    if (line !== '' && (!answer || !take(answer))) end();
  });
  let timer = setTimeout(end, quietMs);
  stop.addEventListener('abort', end, { once: true });
  try {
    await new Promise<void>((resolve, reject) => {
      response.on('data', (chunk: Buffer) => {
        clearTimeout(timer);
        timer = setTimeout(end, quietMs);
        try {
          if (!response.destroyed && !lines.push(chunk)) end();
        } catch (error) {
          reject(error);
          end();
        }
      });
      response.on('error', () => {}).once('close', resolve);
      if (stop.aborted) end();
    });
  } finally {
    clearTimeout(timer);
    stop.removeEventListener('abort', end);
  }
}

/** What etcd refuses, as a Failure; anything else as it is. */
export function told(verb: string, printed: string, error: unknown): unknown {
  return error instanceof EtcdError ? new Failure(verb, printed, error.message) : error;
}
