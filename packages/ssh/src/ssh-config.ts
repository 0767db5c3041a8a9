import { execFile } from 'node:child_process';
import { homedir, userInfo } from 'node:os';
import { codeOf, Failure } from '@dipus/proto/failure';
import type { LoginTarget } from './login.ts';

/** The user's own settings for a host, as `ssh -G` resolves them. */
export interface SshConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly identityFiles: readonly string[];
  readonly knownHostsFiles: readonly string[];
}

/** Asks `ssh -G` for the settings of a host. Rejects with Failure. */
export async function readSshConfig(target: LoginTarget): Promise<SshConfig> {
  const port = target.port === undefined ? [] : ['-p', String(target.port)];
  const user = target.user === undefined ? [] : ['-l', target.user];
  return configOf(target, parseSettings(await runSsh(['-G', ...port, ...user, '--', target.host])));
}

function runSsh(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('ssh', args, (error, stdout, stderr) => {
      if (!error) resolve(stdout);
      else if (codeOf(error) === 'ENOENT') resolve('');
      else reject(new Failure('read', 'ssh settings', stderr.trim().split('\n').at(-1) || error));
    });
  });
}

type Settings = ReadonlyMap<string, readonly string[]>;

/** Lines of `name value`; a name may come more than once. */
function parseSettings(text: string): Settings {
  const settings = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^(\S+) (.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) settings.set(name, [...(settings.get(name) ?? []), value]);
  }
  return settings;
}

function configOf(target: LoginTarget, settings: Settings): SshConfig {
  const one = (name: string): string | undefined => settings.get(name)?.[0];
  return {
    host: one('hostname') ?? target.host,
    port: Number(one('port') ?? target.port ?? 22),
    user: one('user') ?? target.user ?? userInfo().username,
    identityFiles: (settings.get('identityfile') ?? ['~/.ssh/id_ed25519']).map(expandHome),
    knownHostsFiles: (one('userknownhostsfile') ?? '~/.ssh/known_hosts').split(' ').map(expandHome),
  };
}

function expandHome(path: string): string {
  return path.replace(/^~(?=\/|$)/, homedir());
}
