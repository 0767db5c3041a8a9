// Leaving for the background: this program is started again, and what that says until it is ready is said here.
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Context } from '@dipus/cli/run';
import { environmentOfStart, take } from '@dipus/cli/start';
import { makeFifos } from '@dipus/relay/fifo';
import { startProcess } from '@dipus/programs/start-process';

const mark = 'DPIPESD_BACKGROUND';

/** Whether this process has been started to be in the background. */
export const isInBackground: boolean = take(mark) !== '';

/** Starts this program in the background. Resolves when that is ready, with 0, or has ended, with its status. */
export async function startInBackground(argv: readonly string[], context: Context): Promise<number> {
  const child = startProcess(process.execPath, [process.argv[1]!, ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...environmentOfStart(), [mark]: '1' },
    detached: true,
  });
  // Whoever gives up here has not started it.
  const give = (): void => void child.kill('SIGTERM');
  context.stop.addEventListener('abort', give);
  const ended = once(child, 'exit').then(([code]) => (code === null ? 1 : Number(code)));
  ended.catch(() => {});
  const lines: Buffer[] = [];
  for await (const chunk of child.stdout!) lines.push(chunk as Buffer);
  // It says nothing before it is ready, and closes its stdout behind it.
  if (lines.length === 0) return ended;
  context.stop.removeEventListener('abort', give);
  context.print(Buffer.concat(lines).toString());
  child.unref();
  return 0;
}

/** Lets go of the terminal and of the working directory. */
export async function settle(log: string | undefined): Promise<void> {
  process.chdir('/');
  writeTo(log ?? (await systemLog()));
  // Last: whoever started it waits for the end of this.
  replace(1, '/dev/null');
}

/** From now on stderr is appended to a file. */
export function writeTo(log: string): void {
  replace(2, log);
}

/** Opens a file under a number that was something else's: the lowest free one is taken (open(2)). */
function replace(fd: 1 | 2, path: string): void {
  closeSync(fd);
  openSync(path, 'a');
}

/** What logger(1) reads; where there is none, nobody can be told anything. */
async function systemLog(): Promise<string> {
  const [fifo] = await makeFifos(1);
  const { readFd, writeFd } = fifo!;
  const logger = startProcess('logger', ['-t', `dpipesd[${process.pid}]`], { stdio: [readFd, 'ignore', 'ignore'], detached: true });
  logger.unref();
  closeSync(readFd);
  try {
    await once(logger, 'spawn');
    return `/proc/self/fd/${writeFd}`;
  } catch {
    closeSync(writeFd);
    return '/dev/null';
  }
}
