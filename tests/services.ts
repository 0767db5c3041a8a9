// Services of dserve's, for tests that use some.
import type { Program, Sandbox } from './harness.ts';

/** A dserve with one service. */
export type Service = Program & {
  readonly path: string;
  /** The path of its control socket. */
  readonly control: string;
};

/** Starts a service with these words on the command line, and waits until it is ready. */
export async function serve({ start }: Sandbox, ...args: string[]): Promise<Service> {
  const program = start('dserve', args);
  const path = await program.line();
  return Object.assign(program, { path, control: controlOf(path) });
}

/** Many services of one dserve, which serves each by `cat`: a line each, with its options. */
export async function serveAll({ start }: Sandbox, ...lines: string[]): Promise<Program> {
  const program = start('dserve', ['--from', '-']);
  program.child.stdin!.end(lines.map((line) => `${line} cat\n`).join(''));
  for (let line = ''; line !== 'ready';) line = await program.line();
  return program;
}

/** The path of the control socket beside a plain one. */
export function controlOf(path: string): string {
  return path.replace(/[^/]*$/, '.$&');
}
