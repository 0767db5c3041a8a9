// etcd v3 by its JSON gateway: https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway/. Keys and values are base64, 64-bit numbers are text.
import { readFileSync, statSync } from 'node:fs';
import type * as http from 'node:http';
import type { Agent, IncomingMessage } from 'node:http';
import type * as https from 'node:https';
import type { RequestOptions } from 'node:https';
import { codeOf, Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import type { HostPort } from '@dipus/proto/uri';
import { EtcdError, readAnswer, readLines, reasonIn, type Answer, type StreamOptions } from './etcd-answer.ts';
import { etcdPort, type EtcdUrl, type FileOption } from '@dipus/proto/registry-url';

type Module = typeof http | typeof https;

/** Asks the members of an etcd, the next one where one does not answer. */
export class EtcdClient {
  readonly printed: string;
  readonly #url: EtcdUrl;
  #modules: Promise<{ module: Module; agent: Agent; tls: RequestOptions }> | undefined;
  /** Which member is asked. */
  #at = 0;
  #token: string | undefined;
  #localAddress: string | undefined;

  constructor(url: EtcdUrl) {
    this.#url = url;
    this.printed = url.printed;
  }

  /** The address of this host from which the last answer was asked for. */
  get localAddress(): string | undefined {
    return this.#localAddress;
  }

  /** Rejects with EtcdError for what etcd refuses, with Failure where no member answers as etcd does. */
  async call(path: string, body: object): Promise<Answer> {
    return this.#withToken(async (token) => {
      const response = await this.#post(path, body, { token });
      return readAnswer(response, this.printed);
    });
  }

  /**
   * Gives `take` each line of a stream until it ends or breaks, `take` returns false, or nothing has come for `quietMs`; never longer than
   * `stop` allows. Rejects as call does where it does not begin.
   */
  async stream(path: string, body: object, { take, quietMs, stop }: StreamOptions): Promise<void> {
    await this.#withToken(async (token) => {
      const response = await this.#post(path, body, { token, stop });
      if (response.statusCode !== 200) await readAnswer(response, this.printed);
      await readLines(response, { take, quietMs, stop });
    });
  }

  close(): void {
    void this.#modules?.then(({ agent }) => agent.destroy()).catch(() => {});
  }

  async #withToken<T>(work: (token: string | undefined) => Promise<T>): Promise<T> {
    if (this.#url.user === undefined) return work(undefined);
    const isFresh = this.#token === undefined;
    this.#token ??= await this.#authenticate(this.#url.user);
    try {
      return await work(this.#token);
    } catch (error) {
      if (!(error instanceof EtcdError && error.isStaleToken)) throw error;
      this.#token = undefined;
      if (isFresh) throw error;
      return this.#withToken(work);
    }
  }

  async #authenticate(user: string): Promise<string> {
    const password = readPrivate(this.#url.files['password-file']!).replace(/\r?\n$/, '');
    try {
      const { token } = await readAnswer(await this.#post('/v3/auth/authenticate', { name: user, password }, {}), this.printed);
      if (typeof token !== 'string') throw new EtcdError('it gives no token', undefined);
      return token;
    } catch (error) {
      throw error instanceof EtcdError ? new Failure('log in to', this.printed, `as ${user}: ${error.message}`) : error;
    }
  }

  /** The answer of the first member that gives one, which is asked first from then on. */
  async #post(path: string, body: object, { token, stop }: { token?: string | undefined; stop?: AbortSignal }): Promise<IncomingMessage> {
    const { hosts } = this.#url;
    let failure: unknown;
    for (let tries = 0; tries < hosts.length; tries++) {
      try {
        return await this.#postTo(hosts[this.#at]!, { path, body: JSON.stringify(body), token, stop });
      } catch (error) {
        failure ??= error;
        this.#at = (this.#at + 1) % hosts.length;
      }
    }
    if (failure instanceof Failure) throw failure;
    throw new Failure('ask', this.printed, codeOf(failure) === 'ECONNRESET' ? 'it has ended the connection' : failure);
  }

  async #postTo(host: HostPort, request: Request, isAgain = false): Promise<IncomingMessage> {
    this.#modules ??= this.#load().catch((error: unknown) => {
      this.#modules = undefined;
      throw error;
    });
    const { module, agent, tls } = await this.#modules;
    const { path, body, token, stop } = request;
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      ...(token && { authorization: token }),
    };
    const made = module.request({ ...tls, method: 'POST', host: host.host, port: host.port ?? etcdPort, path, headers, agent });
    const timer = setTimeout(() => made.destroy(new Error(`no answer within ${timing.registryMs / 1000} s`)), timing.registryMs);
    const abort = (): void => void made.destroy(new Error('stopped'));
    stop?.addEventListener('abort', abort, { once: true });
    try {
      if (stop?.aborted) abort();
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        made.on('error', reject).once('response', resolve).end(body);
      });
      this.#localAddress = response.socket.localAddress;
      // A member that has lost the others knows nothing.
      if (response.statusCode === 503 || response.statusCode === 504) throw new Error(await reasonIn(response));
      return response;
    } catch (error) {
      // A connection that was kept may have ended just now.
      if (made.reusedSocket && !isAgain && ['ECONNRESET', 'EPIPE'].includes(codeOf(error) ?? '')) return this.#postTo(host, request, true);
      throw error;
    } finally {
      clearTimeout(timer);
      stop?.removeEventListener('abort', abort);
    }
  }

  async #load(): Promise<{ module: Module; agent: Agent; tls: RequestOptions }> {
    const { isSecure, files } = this.#url;
    const module = isSecure ? await import('node:https') : await import('node:http');
    const read = (name: FileOption): string | undefined => (files[name] === undefined ? undefined : readFile(files[name]));
    const tls = { ca: read('ca-file'), cert: read('cert-file'), key: files['key-file'] && readPrivate(files['key-file']) };
    return { module, agent: new module.Agent({ keepAlive: true, keepAliveMsecs: timing.keepAliveMs }), tls };
  }
}

interface Request {
  readonly path: string;
  readonly body: string;
  readonly token: string | undefined;
  readonly stop: AbortSignal | undefined;
}

function readFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Failure('read', path, error);
  }
}

/** A file that is nobody else's affair. Throws Failure. */
function readPrivate(path: string): string {
  const text = readFile(path);
  if ((statSync(path).mode & 0o077) === 0) return text;
  throw new Failure('use', path, 'others may read it').withHint(`chmod 600 ${path}`);
}
