// Who may run a stage, as a program of the host decides.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Prepare } from '@dipus/proto/pipe';
import { formatPipePayload } from '@dipus/proto/pipe';
import { timing } from '@dipus/proto/timing';

/** Whether the program, which reads PREPARE as JSON, ends with 0 in time. Where it cannot be asked nobody may. */
export async function mayRun(argv: readonly [string, ...string[]], prepare: Prepare, service: string): Promise<boolean> {
  const [program, ...args] = argv;
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'inherit'], cwd: '/', timeout: timing.authMs, killSignal: 'SIGKILL' });
  child.stdin.on('error', () => {});
  child.stdin.end(`${formatPipePayload({ ...prepare, service })}\n`);
  const [code] = await once(child, 'exit').catch(() => [127]);
  return code === 0;
}
