// Programs that behave as those of libipc do, both eras.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Ended, Sandbox } from './harness.ts';

export const eras = ['c', 'zig'] as const;
export type Era = (typeof eras)[number];

// Without what may stand before it on PATH.
export const python: string = existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
export const libipcClient: string = resolve('tests/libipc-client.py');
export const libipcServer: string = resolve('tests/libipc-server.py');

export interface LibipcAsk {
  readonly era: Era;
  readonly rundir: string;
  readonly name: string;
  /** Its IPC_NETWORK. */
  readonly network: string;
  /** Messages, each to be answered by itself; `N bytes` is one of that length. */
  readonly messages: readonly string[];
  /** How often it asks. */
  readonly count?: number;
}

/** A client, which prints `ERA: COUNT of COUNT`. */
export function askByLibipc({ run }: Pick<Sandbox, 'run'>, { era, rundir, name, network, messages, count = 1 }: LibipcAsk): Promise<Ended> {
  return run(python, [libipcClient, era, rundir, name, network, String(count)], messages.map((line) => `${line}\n`).join(''));
}
