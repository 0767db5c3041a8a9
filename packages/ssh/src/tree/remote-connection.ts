// One connection to a host: its channels, and its files by SFTP when they are needed.
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { Failure, reasonOf, systemError } from '@dipus/proto/failure';
import { ChannelRefusal } from '../connection/channel-errors.ts';
import { Channels } from '../connection/channels.ts';
import type { Login } from '../login/login.ts';
import type { Trust } from '@dipus/proto/trust';
import { checkRemoteSocket, readRemoteTrust, type RemoteSocket } from './remote-trust.ts';
import { findCause } from './refusal.ts';
import { Sftp } from './sftp.ts';

/** What is used of a login. `host` is how it is called in messages. */
export class RemoteConnection {
  readonly channels: Channels;
  /** Resolves when the connection has ended; its channels have been ended as errors by then. */
  readonly lost: Promise<Failure>;
  isLost = false;
  readonly #host: string;
  readonly #login: Login;
  #sftp: Promise<Sftp> | undefined;
  #hasForwarded = false;
  #trust: Trust | undefined;

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

  /**
   * Connects to a socket of the remote host: half-open, not read yet; the caller closes it. Rejects with an Error that has the
   * system's code, where it can be known.
   */
  async openSocket(path: string): Promise<Duplex> {
    try {
      const stream = await this.#open(path);
      this.#hasForwarded = true;
      // It may have been closed while its short path was taken away.
      if (stream.errored) throw stream.errored;
      return stream;
    } catch (error) {
      if (!(error instanceof ChannelRefusal)) throw error;
      if (error.isForbidden) throw systemError('ENOTSUP', 'its sshd forwards no sockets');
      throw await findCause(await this.files(), path, this.#hasForwarded);
    }
  }

  /**
   * The same for a socket of a service, which is looked at again beside: nothing has been sent to it when it turns out to be none
   * to rely on.
   */
  async openChecked(socket: RemoteSocket): Promise<Duplex> {
    const opening = this.openSocket(socket.controlPath ?? socket.plain);
    const check = this.files().then(async (sftp) => {
      this.#trust ??= await readRemoteTrust(sftp);
      return checkRemoteSocket(sftp, socket, this.#trust);
    });
    // Both run at once, and the other may fail while one is awaited.
    check.catch(() => {});
    const stream = await opening;
    try {
      await check;
      return stream;
    } catch (error) {
      stream.on('error', () => {}).destroy();
      throw error;
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
      new Failure('list the services of', this.#host, reason).withHint(
        'its sshd_config needs the line: Subsystem sftp internal-sftp, and no ForceCommand',
      );
    try {
      const stream = await this.channels.openSession((ssh, remote) => ssh.subsystem(remote, 'sftp', true));
      stream?.once('close', () => (this.#sftp = undefined));
      if (stream) return await Sftp.begin(stream);
    } catch (error) {
      this.#sftp = undefined;
      if (this.isLost) throw await this.lost;
      if (error instanceof ChannelRefusal) throw refuse(`its sshd opens no session (MaxSessions): ${error.message}`);
      throw refuse(`it has no SFTP: ${reasonOf(error)}`);
    }
    this.#sftp = undefined;
    throw refuse('it has no sftp subsystem');
  }
}

/** The longest path, in bytes, that every system takes (sun_path: Linux 107, BSD and macOS 103). */
const maxPathBytes = 103;

/** Calls `use` with a short path that leads to `path`, and takes it away again. */
async function withShortPath<T>(sftp: Sftp, path: string, use: (path: string) => Promise<T>): Promise<T> {
  const directory = `/tmp/.dipus-${randomBytes(8).toString('hex')}`;
  const link = `${directory}/s`;
  await sftp.makeDirectory(directory, 0o700);
  try {
    await sftp.link(path, link);
    return await use(link);
  } finally {
    await sftp.remove(link).catch(() => {});
    await sftp.removeDirectory(directory).catch(() => {});
  }
}
