// A host that is logged in to.
import type SSH2Stream from 'ssh2-streams/lib/ssh.js';
import type { Failure } from '@dipus/proto/failure';
import { preferHostKeys } from './algorithms.ts';
import { authenticate } from './authenticate.ts';
import { Connection } from './connection.ts';
import { shakeHands } from './handshake.ts';
import { knownKeysOf } from './host-key.ts';
import { keepAlive } from './keepalive.ts';
import { dialServer } from './link.ts';
import { runProxy } from './proxy.ts';
import { readSshConfig, type SshConfig } from './ssh-config.ts';
import { printTarget } from './target.ts';

/** What the user typed of an ssh:// URI: user and port only where given. */
export interface LoginTarget {
  readonly host: string;
  readonly user?: string;
  readonly port?: number;
}

/** Asks a person; absent where there is no terminal. Each question ends, whatever its answer, when `stop` aborts. */
export interface Terminal {
  confirm(question: string, stop: AbortSignal): Promise<boolean>;
  /** What was typed, without echo; '' for nothing. */
  secret(prompt: string, stop: AbortSignal): Promise<string>;
  /** The same, shown. */
  answer(prompt: string, stop: AbortSignal): Promise<string>;
  tell(line: string): void;
}

export interface LoginSetting {
  readonly terminal?: Terminal;
  /** A line for `-v`. */
  explain(line: string): void;
  /** Ends the login, but not a connection that is logged in. */
  readonly stop: AbortSignal;
}

/** A connection that is authenticated. */
export interface Login {
  /** ssh2-streams' own; only this package touches it. Its input must never be paused: the keepalive would take it for dead. */
  readonly stream: SSH2Stream;
  /** Resolves when the connection has ended, whoever ended it. */
  readonly lost: Promise<Failure>;
  /** Ends the connection: the server breaks the protocol. */
  breach(reason: string): void;
  close(): void;
}

/**
 * Logs in to a host by the user's own ssh settings, checks its key, and keeps the connection alive. The caller closes what it gets.
 * Rejects with Failure.
 */
export async function logIn(target: LoginTarget, setting: LoginSetting): Promise<Login> {
  const config = await readSshConfig(target, setting);
  const known = knownKeysOf(config);
  const connection = connectTo(config, { types: known.map(({ type }) => type), setting });
  const interrupt = (): void => connection.fail('interrupted');
  if (setting.stop.aborted) interrupt();
  setting.stop.addEventListener('abort', interrupt);
  try {
    await shakeHands(connection, config, { known, setting });
    await authenticate(connection, config, setting);
    // It may have been lost with the server's last word.
    if (connection.over.aborted) throw await connection.lost;
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    setting.stop.removeEventListener('abort', interrupt);
  }
  connection.verb = 'read';
  keepAlive(connection);
  const { stream, lost } = connection;
  return { stream, lost, breach: (reason) => connection.breach(reason), close: () => connection.close() };
}

/** A connection on which nothing has been said; what the server may ask of a client is refused. */
function connectTo(config: SshConfig, { types, setting }: { types: readonly string[]; setting: LoginSetting }): Connection {
  const { host, port, user, proxy, offer } = config;
  setting.explain(`logging in to ${host} port ${port} as ${user}${proxy ? ` by ${proxy.name}` : ''}`);
  const link = proxy ? runProxy(proxy, (line) => setting.explain(line)) : dialServer(config);
  const connection = new Connection(link, printTarget(config.target), preferHostKeys(offer, types));
  const { stream } = connection;
  stream.on('GLOBAL_REQUEST', (_name: string, wantsReply: boolean) => wantsReply && stream.requestFailure());
  stream.on('CHANNEL_OPEN', ({ sender }: { sender: number }) => stream.channelOpenFail(sender, prohibited, '', ''));
  return connection;
}

// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED
const prohibited = 1;
