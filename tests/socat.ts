// Services of socat's, for tests of what is not of ours.
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { eventually, type Program, type Sandbox } from './harness.ts';

/** Waits until something listens at a path. */
export async function listens(path: string): Promise<void> {
  // 00010000 is __SO_ACCEPTCON: it listens, and is not only bound.
  const isListening = (line: string): boolean => line.includes(' 00010000 ') && line.endsWith(` ${path}`);
  await eventually(`${path} listens`, () => readFileSync('/proc/net/unix', 'utf8').split('\n').some(isListening));
}

/** A service at a path, which echoes unless `address` is something else. `options`: of its socket. */
export async function startSocat(
  { start }: Sandbox,
  path: string,
  { options = '', address = 'EXEC:cat' }: { readonly options?: string; readonly address?: string } = {},
): Promise<Program> {
  mkdirSync(dirname(path), { recursive: true });
  const program = start('socat', ['-t', '10', `UNIX-LISTEN:${path},fork${options}`, address]);
  await listens(path);
  return program;
}
