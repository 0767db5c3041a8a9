// Protocol daemons that run, for the tests of each and of all of them.
import { existsSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { Refused } from '@dipus/ipc/answer';
import { openByDaemon, type Framing } from '@dipus/ipc/ask-daemon';
import { openTree } from '@dipus/tree/root';
import { portOf } from './guests.ts';
import type { Program, Sandbox } from './harness.ts';

export const daemons = ['dtcp', 'dtls', 'dws', 'dudp'] as const;
export type Daemon = (typeof daemons)[number];

/** Of alice, in the file `keys` of every sandbox in which dtls was started. */
export const aliceKey = '00112233445566778899aabbccddeeff';

export interface Running {
  readonly program: Program;
  readonly port: number;
  /** What a client opens, without the service: `tls://alice@127.0.0.1:PORT`. */
  readonly uri: string;
}

/** A daemon that lets guests in at a port of loopback, any unless `-l` is among `args`, and opens URIs of its scheme; ready. */
export async function startDaemon({ dir, start, env }: Sandbox, name: Daemon, ...args: string[]): Promise<Running> {
  const keys = `${dir}/keys`;
  if (name === 'dtls' && !existsSync(keys)) writeFileSync(keys, `alice:${aliceKey}\n`, { mode: 0o600 });
  const address = args.includes('-l') ? [] : ['-l', '127.0.0.1:0'];
  const program = start(name, ['-v', ...address, ...(name === 'dtls' ? ['--keys', keys] : []), ...args], { env });
  const uri = await program.line();
  assert.match(await program.line(), new RegExp(`/local/ipc/${name.slice(1)}\\.\\w+\\.\\.\\.\\d$`));
  return { program, port: portOf(uri), uri: uri.replace('tls://', 'tls://alice@') };
}

const never = new AbortController().signal;

/** Opens URIs by the daemons of a sandbox. */
export function opener({ env }: Sandbox): (uri: string, framing?: Framing) => Promise<Socket> {
  const tree = openTree(env);
  return async (uri, framing = 'bytes') => (await openByDaemon(tree, { scheme: uri.split(':')[0]!, uri, framing }, never))!;
}

/** Why something could not be opened, or `opened`. */
export async function whyNot(opening: Promise<unknown>): Promise<string> {
  return opening.then(
    () => 'opened',
    (error: unknown) => (error instanceof Refused ? error.message : String(error)),
  );
}
