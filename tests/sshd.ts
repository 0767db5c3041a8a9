// A private OpenSSH server on loopback, and a client's settings for it.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter } from 'node:path';
import { has, type Program, type Sandbox } from './harness.ts';

/** Why this machine cannot run a private sshd; undefined where it can. */
export const noSshd: string | undefined = whyNoSshd();

function whyNoSshd(): string | undefined {
  if (!has('ssh') || !has('ssh-keygen') || !existsSync('/usr/sbin/sshd')) return 'no OpenSSH server and client';
  return process.getuid?.() === 0 ? undefined : 'sshd needs root';
}

export interface SshdOptions {
  /** Lines of sshd_config, before ours: the first value of a name counts. */
  readonly config?: readonly string[];
  /** What it says before authentication. */
  readonly banner?: string;
  /** The types of its host keys, as ssh-keygen names them. */
  readonly hostKeys?: readonly string[];
  /** Their length, where a type has a choice. */
  readonly hostKeyBits?: number;
  /** Where it was listening before, to start it again. */
  readonly port?: number;
}

export interface Sshd {
  readonly port: number;
  /** Its keys, its settings and `authorized_keys`. */
  readonly dir: string;
  readonly program: Program;
  /** Lines of known_hosts for `[127.0.0.1]:port`, one a host key. */
  readonly knownHosts: string;
}

/** Starts an sshd; it has ended when the sandbox ends. `authorized` is what its authorized_keys has. */
export async function startSshd(sandbox: Sandbox, authorized: string, options: SshdOptions = {}): Promise<Sshd> {
  const port = options.port ?? (await freePort());
  const dir = `${sandbox.dir}/sshd-${port}`;
  mkdirSync('/run/sshd', { recursive: true });
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  chmodSync(sandbox.dir, 0o755);
  writeFileSync(`${dir}/authorized_keys`, authorized);
  const types = options.hostKeys ?? ['ed25519'];
  const bits = options.hostKeyBits === undefined ? [] : ['-b', String(options.hostKeyBits)];
  for (const type of types) if (!existsSync(`${dir}/host-${type}`)) makeKey(`${dir}/host-${type}`, type, '', bits);
  if (options.banner !== undefined) writeFileSync(`${dir}/banner`, options.banner);
  const lines = [
    ...(options.config ?? []),
    ...types.map((type) => `HostKey ${dir}/host-${type}`),
    ...(options.banner === undefined ? [] : [`Banner ${dir}/banner`]),
    'StrictModes no',
    `AuthorizedKeysFile ${dir}/authorized_keys`,
    `SetEnv ${remoteEnvironment(sandbox.env['PATH'])}`,
    'UsePAM no',
    'PermitRootLogin yes',
    ...(options.config?.some((line) => line.startsWith('Subsystem ')) ? [] : ['Subsystem sftp internal-sftp']),
    'MaxStartups 100',
    `ListenAddress 127.0.0.1:${port}`,
  ];
  writeFileSync(`${dir}/config`, `${lines.join('\n')}\n`);
  const program = sandbox.start('/usr/sbin/sshd', ['-f', `${dir}/config`, '-D', '-e']);
  await program.says(/Server listening on 127\.0\.0\.1/, 30_000);
  const knownHosts = types.map((type) => knownLine(`[127.0.0.1]:${port}`, `${dir}/host-${type}.pub`)).join('');
  return { port, dir, program, knownHosts };
}

/**
 * The environment of what sshd runs, for its SetEnv. bash reads the account's .bashrc when sshd starts it, and who knows what that does; no
 * home, no such file.
 */
export function remoteEnvironment(path: string | undefined): string {
  return `PATH="${path}" HOME=/nonexistent`;
}

/** A line of known_hosts. */
export function knownLine(names: string, publicKeyFile: string): string {
  return `${names} ${readFileSync(publicKeyFile, 'utf8').split(' ').slice(0, 2).join(' ').trim()}\n`;
}

/** Makes a key pair at `file` and `file.pub`, and returns the public line. */
export function makeKey(file: string, type = 'ed25519', passphrase = '', extra: readonly string[] = []): string {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', passphrase, '-C', 'test', '-f', file, ...extra]);
  return readFileSync(`${file}.pub`, 'utf8');
}

/**
 * A free port of loopback, for what cannot say which one it was given. Below those that the system gives to whoever connects
 * (ip_local_port_range, ip(7)): those of the other tests, which run at the same time, would take it now and then before it is used.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
      return port;
    } catch {
      // Another one.
    } finally {
      server.close();
    }
  }
}

/** Whoever reads it, or runs it, has the old one or the new one: what is being written cannot be run (ETXTBSY, execve(2)). */
function replaceFile(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode });
  renameSync(`${path}.new`, path);
}

/**
 * An environment in which `ssh` reads `config` instead of the settings of the account: ssh looks for them in the home of the account,
 * whatever HOME says.
 */
export function withSshConfig({ dir, env }: Sandbox, config: readonly string[]): NodeJS.ProcessEnv {
  const bin = `${dir}/bin`;
  mkdirSync(bin, { recursive: true });
  replaceFile(`${dir}/ssh_config`, `${config.join('\n')}\n`, 0o600);
  replaceFile(`${bin}/ssh`, `#!/bin/sh\nexec /usr/bin/ssh -F ${dir}/ssh_config "$@"\n`, 0o755);
  mkdirSync(`${dir}/home/.ssh`, { recursive: true, mode: 0o700 });
  return { ...env, HOME: `${dir}/home`, PATH: `${bin}${delimiter}${env['PATH']}`, SSH_AUTH_SOCK: undefined };
}
