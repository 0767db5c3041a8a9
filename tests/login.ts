// A host to log in to: a private sshd, a key that it takes, and settings of ssh that lead there.
import { resolve } from 'node:path';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { withSandbox, type Ended, type Program, type Sandbox } from './harness.ts';
import { makeKey, startSshd, withSshConfig, type Sshd, type SshdOptions } from './sshd.ts';

/** The program that logs in as the tools do. */
export const driver: string = resolve('build/tests/login-driver.js');

export interface Host extends Sandbox {
  readonly sshd: Sshd;
  /** The key file that the server takes. */
  readonly key: string;
  /** The file that the settings name as known_hosts; it knows the server. */
  readonly known: string;
  /** An environment in which ssh has the settings of `ssh://box`, these lines first. */
  envWith(...lines: string[]): NodeJS.ProcessEnv;
  /** Logs in to ssh://box with these settings, without a terminal. */
  logIn(lines: readonly string[], args?: readonly string[], env?: NodeJS.ProcessEnv): Promise<Ended>;
  /** The same, to be ended later. */
  startLogin(lines: readonly string[], args?: readonly string[], env?: NodeJS.ProcessEnv): Program;
}

/** Runs `body` with a host that runs sshd as `options` says. */
export async function withHost(body: (host: Host) => Promise<void>, options: SshdOptions = {}): Promise<void> {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    mkdirSync(`${dir}/keys`);
    const key = `${dir}/keys/own`;
    const sshd = await startSshd(sandbox, makeKey(key), options);
    const known = `${dir}/known`;
    writeFileSync(known, sshd.knownHosts);
    const common = ['HostName 127.0.0.1', `Port ${sshd.port}`, 'User root', `UserKnownHostsFile ${known}`, 'GlobalKnownHostsFile none'];
    // Identity files add up, other settings count where they come first.
    const own = (lines: readonly string[]): string[] =>
      lines.some((line) => line.startsWith('IdentityFile')) ? [] : [`IdentityFile ${key}`];
    const envWith: Host['envWith'] = (...lines) => withSshConfig(sandbox, [...lines, 'Host box', ...own(lines), ...common]);
    const argsOf = (args: readonly string[]): string[] => [
      driver,
      ...(args.some((arg) => arg.startsWith('ssh:')) ? [] : ['ssh://box']),
      ...args,
    ];
    await body({
      ...sandbox,
      sshd,
      key,
      known,
      envWith,
      // In a session of its own, so that it has no terminal even where the test has one.
      logIn: (lines, args = [], env = {}) =>
        sandbox.run(process.execPath, argsOf(args), '', { env: { ...envWith(...lines), ...env }, detached: true }),
      startLogin: (lines, args = [], env = {}) =>
        sandbox.start(process.execPath, argsOf(args), { env: { ...envWith(...lines), ...env }, detached: true }),
    });
  });
}

/** Adds a key to those that the server takes. */
export function authorize({ sshd }: Pick<Host, 'sshd'>, publicKey: string): void {
  const file = `${sshd.dir}/authorized_keys`;
  writeFileSync(file, `${readFileSync(file, 'utf8')}${publicKey.trimEnd()}\n`);
}
