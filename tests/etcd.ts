// A real etcd of a test's own, and a door in front of it that can be shut.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { eventually, sleep, type Program, type Sandbox } from './harness.ts';
import type { Host } from './hosts.ts';
import { freePort } from './sshd.ts';

export interface Etcd {
  /** Where its clients go: the door, which stays when etcd does not. */
  readonly address: string;
  /** The URL of the registry in it. */
  readonly url: string;
  readonly door: Door;
  /** Runs etcdctl, by its own way in; resolves with what it prints. Rejects unless it ends with 0. */
  ctl(...args: string[]): Promise<string>;
  /** The keys that it has, one after the other. */
  keys(): Promise<string[]>;
  kill(): Promise<void>;
  /** Starts it again, on what it has, or on nothing. */
  start(isEmpty?: boolean): Promise<void>;
}

/** A relay for connections. Never rejects. */
export class Door {
  /** Where it leads. */
  port = 0;
  readonly #pairs = new Set<[Socket, Socket]>();
  #isStalled = false;
  readonly server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (local) => this.#let(local));

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Connections stand, and new ones come in, but no byte goes through any more. */
  stall(): void {
    this.#isStalled = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.unpipe().pause();
  }

  /** New connections lead to etcd again; those that were stalled are lost. */
  restore(): void {
    this.#isStalled = false;
    this.cut();
  }

  /** Ends all connections. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  #let(local: Socket): void {
    const remote = connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true });
    const pair: [Socket, Socket] = [local, remote];
    this.#pairs.add(pair);
    for (const socket of pair)
      socket
        .on('error', () => {})
        .once('close', () => {
          this.#pairs.delete(pair);
          for (const each of pair) each.destroy();
        });
    if (this.#isStalled) return;
    local.pipe(remote);
    remote.pipe(local);
  }
}

/** An etcd on a host of its own, at its usual port, that answers; and etcdctl there, as Etcd has it. */
export async function startEtcd({ dir, start, run }: Host): Promise<{ readonly program: Program; readonly ctl: Etcd['ctl'] }> {
  const clients = ['--listen-client-urls', 'http://0.0.0.0:2379', '--advertise-client-urls', 'http://127.0.0.1:2379'];
  const own = ['--data-dir', `${dir}/etcd`, ...clients, '--listen-peer-urls', 'http://127.0.0.1:0'];
  const program = start('etcd', [...own, '--logger', 'zap', '--log-level', 'error']);
  const ctl = ctlBy(run);
  await answers(program, ctl);
  return { program, ctl };
}

/** Rejects with what an etcd said that has ended instead. */
async function answers({ ended }: Program, ctl: Etcd['ctl']): Promise<void> {
  const over = ended.then(({ stderr }) => Promise.reject(new Error(`etcd has ended: ${stderr}`)));
  over.catch(() => {});
  await Promise.race([eventually('etcd answers', () => isHealthy(ctl)), over]);
}

function ctlBy(run: Sandbox['run'], options: readonly string[] = []): Etcd['ctl'] {
  return async (...words) => {
    const env = { ...process.env, ETCDCTL_API: '3' };
    const { status, stdout, stderr } = await run('etcdctl', [...options, ...words], '', { env });
    if (status !== 0) throw new Error(`etcdctl ${words.join(' ')}: ${stderr}`);
    return stdout.toString();
  };
}

function isHealthy(ctl: Etcd['ctl']): Promise<boolean> {
  return ctl('endpoint', 'health').then(
    () => true,
    () => sleep(100).then(() => false),
  );
}

/** Runs `body` with an etcd that answers; `args` are more words of its command line. */
export async function withEtcd(
  { dir, start, run }: Sandbox,
  body: (etcd: Etcd) => Promise<void>,
  { args = [], scheme = 'http', ctlArgs = [] }: { args?: string[]; scheme?: string; ctlArgs?: string[] } = {},
): Promise<void> {
  const door = new Door();
  door.server.listen(0, '127.0.0.1');
  await once(door.server, 'listening');
  let program: Program | undefined;
  let runs = 0;
  const etcd: Etcd = {
    address: door.address,
    url: `${scheme === 'https' ? 'etcds' : 'etcd'}://${door.address}`,
    door,
    ctl: (...words) => ctlBy(run, ['--endpoints', `${scheme}://127.0.0.1:${door.port}`, ...ctlArgs])(...words),
    // By its gateway: a program for each look would take what it looks at the time to happen.
    keys: async () => {
      const all = JSON.stringify({ key: 'Lw==', range_end: 'MA==', keys_only: true });
      const response = await fetch(`http://127.0.0.1:${door.port}/v3/kv/range`, { method: 'POST', body: all });
      const { kvs = [] } = (await response.json()) as { kvs?: { key: string }[] };
      return kvs.map(({ key }) => Buffer.from(key, 'base64').toString());
    },
    kill: async () => void (await program?.stop('SIGKILL')),
    start: async (isEmpty = false) => {
      if (isEmpty) runs++;
      door.port = await freePort();
      const clients = `${scheme}://127.0.0.1:${door.port}`;
      const peers = 'http://127.0.0.1:0';
      const own = ['--data-dir', `${dir}/etcd-${runs}`, '--listen-client-urls', clients, '--advertise-client-urls', clients];
      program = start('etcd', [...own, '--listen-peer-urls', peers, '--logger', 'zap', '--log-level', 'error', ...args]);
      await answers(program, etcd.ctl);
    },
  };
  try {
    await etcd.start();
    await body(etcd);
  } finally {
    await etcd.kill();
    door.cut();
    door.server.close();
  }
}
