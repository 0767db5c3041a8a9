// A host that is logged in to.
import type SSH2Stream from 'ssh2-streams/lib/ssh.js';
import type { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { preferHostKeys } from '../settings/algorithms.ts';
import { authenticate } from './authenticate.ts';
import { Connection } from '../connection/connection.ts';
import { judgeHostKey, knownKeysOf } from './host-key.ts';
import type { KnownKey } from './known-hosts.ts';
import type { LoginOptions } from './login-options.ts';
import { dialServer } from '../connection/transport.ts';
import { runProxy } from '../connection/proxy.ts';
import { readSshConfig, type SshConfig } from '../settings/ssh-config.ts';
import { formatTarget, type LoginTarget } from '../settings/target.ts';

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
export async function logIn(target: LoginTarget, options: LoginOptions): Promise<Login> {
  const config = await readSshConfig(target, options);
  const known = knownKeysOf(config);
  const connection = connectTo(config, { types: known.map(({ type }) => type), options });
  const interrupt = (): void => connection.fail('interrupted');
  if (options.stop.aborted) interrupt();
  options.stop.addEventListener('abort', interrupt);
  try {
    await shakeHands(connection, config, { known, options });
    await authenticate(connection, config, options);
    // It may have been lost with the server's last word.
    if (connection.over.aborted) throw await connection.lost;
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    options.stop.removeEventListener('abort', interrupt);
  }
  connection.verb = 'read from';
  keepAlive(connection);
  const { stream, lost } = connection;
  return { stream, lost, breach: (reason) => connection.breach(reason), close: () => connection.close() };
}

/** A connection on which nothing has been said; what the server may ask of a client is refused. */
function connectTo(config: SshConfig, { types, options }: { types: readonly string[]; options: LoginOptions }): Connection {
  const { host, port, user, proxy, offer } = config;
  options.explain(`logging in to ${host} port ${port} as ${user}${proxy ? ` by ${proxy.name}` : ''}`);
  const transport = proxy ? runProxy(proxy, (line) => options.explain(line)) : dialServer(config);
  const connection = new Connection(transport, formatTarget(config.target), preferHostKeys(offer, types));
  const { stream } = connection;
  stream.on('GLOBAL_REQUEST', (_name: string, wantsReply: boolean) => wantsReply && stream.requestFailure());
  stream.on('CHANNEL_OPEN', ({ sender }: { sender: number }) => stream.channelOpenFail(sender, prohibited, '', ''));
  return connection;
}

// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED
const prohibited = 1;

/** From the first line to encryption: the server has shown its key, it was judged, and it was proved. Rejects with Failure. */
async function shakeHands(
  connection: Connection,
  config: SshConfig,
  { known, options }: { known: readonly KnownKey[]; options: LoginOptions },
): Promise<void> {
  await connection.hear(['header'], config.connectMs);
  const { values } = await connection.hear(['fingerprint']);
  const [blob, permit] = values as [Buffer, (isPermitted: boolean) => void];
  const accept = await connection.orLost(
    judgeHostKey(blob, config, { known, options, over: connection.over, address: connection.address }),
  );
  // The library says so within permit() where the server has been waiting.
  const ready = connection.hear(['ready']);
  permit(true);
  await ready;
  accept();
}

const mostUnanswered = 2;

/** Asks the server every timing.pingMs whether it is there; when two of them have stayed without an answer, the connection fails. */
function keepAlive(connection: Connection): void {
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
