// One connection to a host: its channels, and its files by SFTP when they are needed.
import type { Duplex } from 'node:stream';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { ChannelRefusal } from './channel.ts';
import { Channels } from './channels.ts';
import type { Login } from './login.ts';
import { withShortPath, maxPathBytes } from './long-path.ts';
import { findCause } from './refusal.ts';
import { Sftp } from './sftp.ts';

/** What is used of a login. `host` is how it is called in messages. */
export class FarConnection {
  readonly channels: Channels;
  /** Resolves when the connection has ended; its channels have been ended as errors by then. */
  readonly lost: Promise<Failure>;
  isLost = false;
  readonly #host: string;
  readonly #login: Login;
  #sftp: Promise<Sftp> | undefined;
  #hasForwarded = false;

  constructor(login: Login, host: string) {
    this.#login = login;
    this.#host = host;
    this.channels = new Channels(login);
    this.lost = login.lost.then((failure) => {
      this.isLost = true;
      this.channels.lose(reasonOf(failure.cause));
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
      // It may have been closed while its short path was taken away.
      if (stream.errored) throw stream.errored;
      return stream;
    } catch (error) {
      if (!(error instanceof ChannelRefusal)) throw error;
      if (error.isForbidden) throw Object.assign(new Error('sshd there forwards no sockets'), { code: 'ENOTSUP' });
      throw await findCause(await this.files(), path, this.#hasForwarded);
    }
  }

  /** Ends the connection when its channels have been closed, or have had time to be. */
  async close(): Promise<void> {
    void this.#sftp?.then((sftp) => sftp.close()).catch(() => {});
    await this.channels.idle();
    this.#login.close();
  }

  async #open(path: string): Promise<Duplex> {
    if (Buffer.byteLength(path) <= maxPathBytes) return this.channels.openSocket(path);
    return withShortPath(await this.files(), path, (short) => this.channels.openSocket(short));
  }

  async #beginSftp(): Promise<Sftp> {
    const refuse = (reason: string): Failure =>
      new Failure('list', this.#host, reason, 'sshd_config there needs the line: Subsystem sftp internal-sftp, and no ForceCommand');
    try {
      const stream = await this.channels.openSession((ssh, remote) => ssh.subsystem(remote, 'sftp', true));
      stream?.once('close', () => (this.#sftp = undefined));
      if (stream) return await Sftp.begin(stream);
    } catch (error) {
      this.#sftp = undefined;
      if (this.isLost) throw await this.lost;
      if (error instanceof ChannelRefusal) throw refuse(`sshd opens no session there (MaxSessions): ${error.message}`);
      throw refuse(`it has no SFTP: ${reasonOf(error)}`);
    }
    this.#sftp = undefined;
    throw refuse('it has no sftp subsystem');
  }
}
