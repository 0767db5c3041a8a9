// One connection to a host: its channels, and its files by SFTP when they are needed.
import type { Duplex } from 'node:stream';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { ChannelRefusal, Channels } from './channels.ts';
import type { Login } from './login.ts';
import { withShortPath, maxPathBytes } from './long-path.ts';
import { findCause } from './refusal.ts';
import { Sftp } from './sftp.ts';

/** What is used of a login. `host` is how it is called in messages. */
export class FarConnection {
  readonly channels: Channels;
  /** Resolves when the connection has ended; its channels have been ended as errors by then. */
  readonly lost: Promise<Failure>;
  readonly #host: string;
  readonly #login: Login;
  #sftp: Promise<Sftp> | undefined;
  #hasForwarded = false;

  constructor(login: Login, host: string) {
    this.#login = login;
    this.#host = host;
    this.channels = new Channels(login.stream);
    this.lost = login.lost.then((failure) => {
      this.channels.lose('the connection was lost');
      return failure;
    });
  }

  /** The host's files. Rejects with Failure where it has no SFTP. */
  files(): Promise<Sftp> {
    this.#sftp ??= this.#beginSftp();
    return this.#sftp;
  }

  /** Connects to a socket there: half-open, not read yet; the caller closes it. Rejects with an Error that has the system's code, where it can be known. */
  async openSocket(path: string): Promise<Duplex> {
    try {
      const stream = await this.#open(path);
      this.#hasForwarded = true;
      return stream;
    } catch (error) {
      if (!(error instanceof ChannelRefusal)) throw error;
      if (error.isForbidden) throw Object.assign(new Error('sshd there forwards no sockets'), { code: 'ENOTSUP' });
      throw await findCause(await this.files(), path, this.#hasForwarded);
    }
  }

  /** Ends the connection when its channels have been closed, or have had time to be. */
  async close(): Promise<void> {
    await this.#sftp?.then((sftp) => sftp.close()).catch(() => {});
    await this.channels.idle();
    this.#login.close();
  }

  async #open(path: string): Promise<Duplex> {
    if (Buffer.byteLength(path) <= maxPathBytes) return this.channels.openSocket(path);
    return withShortPath(await this.files(), path, (short) => this.channels.openSocket(short));
  }

  async #beginSftp(): Promise<Sftp> {
    const hint = 'sshd_config there needs the line: Subsystem sftp internal-sftp';
    try {
      const stream = await this.channels.openSession((ssh, remote) => ssh.subsystem(remote, 'sftp', true));
      stream?.once('close', () => (this.#sftp = undefined));
      if (stream) return await Sftp.begin(stream);
    } catch (error) {
      this.#sftp = undefined;
      throw new Failure('list', this.#host, `it has no SFTP: ${reasonOf(error)}`, hint);
    }
    this.#sftp = undefined;
    throw new Failure('list', this.#host, 'it has no sftp subsystem', hint);
  }
}
