// Two roots on one machine that stand for two hosts, joined by a private sshd: services are made in the sandbox's root, and used from the
// root `b`.
import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { eventually, type Ended, type Program } from './harness.ts';
import { withHost, type Host } from './login.ts';
import { sockets } from './sep-pair.ts';
import { remoteEnvironment, type SshdOptions } from './sshd.ts';

export interface Pair extends Host {
  /** The folder that is the root of who uses services. */
  readonly local: string;
  /** `ssh://box/ASK?root=…`. */
  uri(ask?: string): string;
  /** A service, ready: dserve with these operands. */
  serve(...args: string[]): Promise<Program & { path: string }>;
  /** Starts a tool at the host that uses services. */
  startLocal(tool: string, ...args: string[]): Program;
  runLocal(tool: string, args: readonly string[], input?: Buffer | string): Promise<Ended>;
  /** Waits until as many sockets are imported, and no others. */
  has(count: number, ms?: number): Promise<string[]>;
}

/** An sshd where PATH has no dls, so that trees are polled. */
export const withoutDls: SshdOptions = { config: [`SetEnv ${remoteEnvironment('/usr/bin:/bin')}`] };

/** Runs `body` with two such hosts. `extra` is added to the environment of who uses services. */
export async function withPair(
  body: (pair: Pair) => Promise<void>,
  options: SshdOptions = {},
  extra: NodeJS.ProcessEnv = {},
): Promise<void> {
  await withHost(async (host) => {
    const local = `${host.dir}/b`;
    const env = { ...host.envWith(), DIPUS_ROOT: local, ...extra };
    await body({
      ...host,
      local,
      uri: (ask = '') => `ssh://box/${ask}?root=${host.root}`,
      serve: async (...args) => {
        const program = host.start('dserve', args);
        return Object.assign(program, { path: await program.line(30_000) });
      },
      startLocal: (tool, ...args) => host.start(tool, args, { env }),
      runLocal: (tool, args, input) => host.run(tool, args, input, { env }),
      has: async (count, ms = 30_000) => {
        await eventually(`${count} imported sockets, not ${sockets(local).length}`, () => sockets(local).length === count, ms);
        return sockets(local);
      },
    });
  }, options);
}

/** A service without a control socket, in this process. */
export async function foreign(file: string, serve: (connection: Socket) => void): Promise<Server> {
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  const server = createServer({ allowHalfOpen: true }, (connection) => serve(connection.on('error', () => {})));
  server.listen(file);
  await once(server, 'listening');
  return server;
}
