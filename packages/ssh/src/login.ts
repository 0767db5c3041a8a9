// A host that is logged in to.
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { sign } from 'node:crypto';
import SSH2Stream from 'ssh2-streams/lib/ssh.js';
import keyParser, { type ParsedKey } from 'ssh2-streams/lib/keyParser.js';
import { Failure } from '@dipus/proto/failure';
import { offered } from './algorithms.ts';
import { readSshConfig, type SshConfig } from './ssh-config.ts';

/** What the user typed of an ssh:// URI: user and port only where given. */
export interface LoginTarget {
  readonly host: string;
  readonly user?: string;
  readonly port?: number;
}

/** Asks a person; absent where there is no terminal. */
export interface Terminal {
  confirm(question: string): Promise<boolean>;
  /** What was typed, without echo. */
  secret(prompt: string): Promise<string>;
  tell(line: string): void;
}

export interface LoginSetting {
  readonly terminal?: Terminal;
  /** A line for `-v`. */
  explain(line: string): void;
  readonly stop: AbortSignal;
}

/** A connection that is authenticated. */
export interface Login {
  /** Only packages/ssh touches it. */
  readonly stream: SSH2Stream;
  /** Resolves when the connection has ended, whoever ended it. */
  readonly lost: Promise<Failure>;
  close(): void;
}

/** Logs in to a host by the user's own ssh settings. The caller closes what it gets. Rejects with Failure. */
export async function logIn(target: LoginTarget, setting: LoginSetting): Promise<Login> {
  const config = await readSshConfig(target);
  setting.explain(`logging in to ${config.user}@${config.host} port ${config.port}`);
  const link = connect({ host: config.host, port: config.port, noDelay: true });
  try {
    await once(link, 'connect');
  } catch (error) {
    throw new Failure('connect', `ssh://${target.host}`, error);
  }
  const stream = new SSH2Stream({ ident: 'dipus', algorithms: offered });
  const lost = new Promise<Failure>((resolve) => {
    const end = (cause: unknown): void => resolve(new Failure('read', `ssh://${target.host}`, cause));
    link.on('error', end).on('close', () => end('the connection was lost'));
    stream.on('error', (error) => (end(error), link.destroy()));
  });
  link.pipe(stream).pipe(link);
  await Promise.race([shakeHands(stream, config), lost.then((failure) => Promise.reject(failure))]);
  await Promise.race([authenticate(stream, config), lost.then((failure) => Promise.reject(failure))]);
  return { stream, lost, close: () => closeLink(link) };
}

async function shakeHands(stream: SSH2Stream, config: SshConfig): Promise<void> {
  stream.on('fingerprint', (key: Buffer, permit: (isPermitted: boolean) => void) => permit(isKnown(key, config)));
  await once(stream, 'ready');
}

function isKnown(key: Buffer, config: SshConfig): boolean {
  const name = config.port === 22 ? config.host : `[${config.host}]:${config.port}`;
  return config.knownHostsFiles.some((file) =>
    textOf(file)
      .split('\n')
      .map((line) => line.split(' '))
      .some(([names, , base64]) => names?.split(',').includes(name) && base64 === key.toString('base64')),
  );
}

async function authenticate(stream: SSH2Stream, config: SshConfig): Promise<void> {
  stream.service('ssh-userauth');
  await once(stream, 'SERVICE_ACCEPT');
  for (const file of config.identityFiles) {
    const key = [keyParser.parseKey(textOf(file))].flat()[0];
    if (!key || key instanceof Error) continue;
    if (await tryKey(stream, config.user, key)) return;
  }
  throw new Failure('log in to', `ssh://${config.host}`, 'no key was accepted');
}

async function tryKey(stream: SSH2Stream, user: string, key: ParsedKey): Promise<boolean> {
  const succeeded = once(stream, 'USERAUTH_SUCCESS').then(() => true);
  const failed = once(stream, 'USERAUTH_FAILURE').then(() => false);
  const digest = key.type === 'ssh-ed25519' ? null : 'sha512';
  const type = key.type === 'ssh-rsa' ? 'rsa-sha2-512' : key.type;
  stream.authPK(user, { type, getPublicSSH: () => key.getPublicSSH() }, (bytes, done) => done(sign(digest, bytes, key.getPrivatePEM()!)));
  return Promise.race([succeeded, failed]);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function closeLink(link: Socket): void {
  link.destroy();
}
