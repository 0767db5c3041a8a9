// Two roots on one machine that stand for two hosts, each with a key of its own, joined over TLS.
import { mkdirSync, writeFileSync } from 'node:fs';
import { importer, type Importer } from './sep-pair.ts';
import type { Ended, Program, Sandbox } from './harness.ts';

export interface SepsPair {
  /** The exporting host: the sandbox with its own keys. */
  readonly remote: Sandbox;
  /** The importing host. */
  readonly local: Sandbox;
  readonly exporter: Program;
  readonly port: number;
  /** `seps://127.0.0.1:PORT`. */
  readonly uri: string;
  /** How known_peers names it. */
  readonly host: string;
  readonly files: { readonly known: string; readonly authorized: string };
  readonly pins: { readonly remote: string; readonly local: string };
  /** The exporter's key is known, and ours authorised. */
  pair(options?: string): void;
  /** dimport at the importing host. */
  importer(...args: readonly string[]): Importer;
}

/** A sandbox as another host sees it. */
export function hostOf(sandbox: Sandbox, name: string, extra: NodeJS.ProcessEnv = {}): Sandbox {
  const env = {
    ...sandbox.env,
    DIPUS_HOST: name,
    DIPUS_ROOT: `${sandbox.dir}/${name}`,
    DIPUS_CONFIG: `${sandbox.dir}/${name}.keys`,
    ...extra,
  };
  return {
    dir: sandbox.dir,
    root: env.DIPUS_ROOT,
    env,
    start: (command, args, options) => sandbox.start(command, args, { env, ...options }),
    run: (command, args, input, options): Promise<Ended> => sandbox.run(command, args, input, { env, ...options }),
  };
}

/** dexport --seps, ready, and a user at another host. Neither knows the other yet. */
export async function sepsPair(
  sandbox: Sandbox,
  { options = [], extra = {} }: { options?: string[]; extra?: NodeJS.ProcessEnv } = {},
): Promise<SepsPair> {
  const [remote, local] = [hostOf(sandbox, 'encode', extra), hostOf(sandbox, 'laptop', extra)];
  const exporter = remote.start('dexport', ['--seps', '--user', 'root', '-l', '127.0.0.1:0', '--no-announce', ...options]);
  const [uri, remoteKey, localKey] = await Promise.all([exporter.line(), remote.run('dkey'), local.run('dkey')]);
  const port = Number(uri.split(':').at(-1));
  const host = `127.0.0.1:${port}`;
  const pins = { remote: remoteKey.stdout.toString().trim(), local: localKey.stdout.toString().trim() };
  const files = { known: `${sandbox.dir}/laptop.keys/known_peers`, authorized: `${sandbox.dir}/encode.keys/authorized_peers` };
  for (const dir of ['encode.keys', 'laptop.keys']) mkdirSync(`${sandbox.dir}/${dir}`, { recursive: true });
  return {
    remote,
    local,
    exporter,
    port,
    uri,
    host,
    files,
    pins,
    pair: (grant = 'user=root') => {
      writeFileSync(files.known, `${host} ${pins.remote} encode\n`, { mode: 0o600 });
      writeFileSync(files.authorized, `${pins.local} laptop ${grant}\n`, { mode: 0o600 });
    },
    importer: (...args) => importer(local, ...args),
  };
}
