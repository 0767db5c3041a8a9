// Nodes of pipelines behind exporters that speak TLS, each with a key of its own.
import { appendFileSync, mkdirSync } from 'node:fs';
import type { Program, Sandbox } from './harness.ts';
import { hostOf } from './seps-pair.ts';
import { freePort } from './sshd.ts';

/** A program that a test starts again when it has been killed. */
export interface Daemon {
  program: Program;
  start(): Promise<Program>;
}

export interface SepsNode {
  readonly host: Sandbox;
  readonly uri: string;
  readonly daemon: Daemon;
  readonly exporter: Daemon;
}

/** A host with a key of its own; the tests' own user may run anything behind its exporter. */
export async function sepsNode(sandbox: Sandbox, name: string): Promise<SepsNode> {
  const host = hostOf(sandbox, name);
  const port = await freePort();
  const exporter = ['--seps', '--user', 'root', '-l', `127.0.0.1:${port}`, '--no-announce'];
  return {
    host,
    uri: `seps://127.0.0.1:${port}`,
    daemon: await keep(host, 'dpipesd', ['-x', '--app', 'sh args=any', '--call', '*']),
    exporter: await keep(host, 'dexport', exporter),
  };
}

/** Starts a program, ready with its first line. */
export async function keep(sandbox: Pick<Sandbox, 'start'>, tool: string, args: readonly string[]): Promise<Daemon> {
  const start = async (): Promise<Program> => {
    const program = sandbox.start(tool, args);
    await program.line();
    return program;
  };
  return { program: await start(), start };
}

/** A user may use from then on what a node exports. */
export async function pairKeys(user: Pick<Sandbox, 'run' | 'env'>, { host, uri }: SepsNode): Promise<void> {
  const [theirs, own] = await Promise.all([host.run('dkey'), user.run('dkey')]);
  const [pin, ownPin] = [theirs.stdout.toString().trim(), own.stdout.toString().trim()];
  const settings = { mode: 0o600 };
  for (const { env } of [user, host]) mkdirSync(env['DIPUS_CONFIG']!, { recursive: true });
  appendFileSync(`${user.env['DIPUS_CONFIG']}/known_peers`, `${uri.slice('seps://'.length)} ${pin} ${host.env['DIPUS_HOST']}\n`, settings);
  appendFileSync(`${host.env['DIPUS_CONFIG']}/authorized_peers`, `${ownPin} ${user.env['DIPUS_HOST']} user=root\n`, settings);
}
