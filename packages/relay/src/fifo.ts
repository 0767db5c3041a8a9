// Pipes as a shell makes them, which Node cannot: a program may open /dev/stdin and /dev/stdout again, which it could not if they were
// sockets, and its writes fail with EPIPE alone when its reader has gone.
import { closeSync, constants, lstatSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runFile } from '@dipus/programs/start-process';
import { codeOf } from '@dipus/proto/failure';
import { pause } from '@dipus/proto/waiting';

/** Both ends of a pipe, blocking: descriptors of this process, which whoever has asked for them closes. */
export interface Fifo {
  readonly readFd: number;
  readonly writeFd: number;
}

const prefix = 'dipus-pipe-';

/** Makes pipes (mkfifo(1)) whose names are gone when this resolves. Rejects where they cannot be made, and leaves nothing. */
export async function makeFifos(count: number): Promise<Fifo[]> {
  if (count === 0) return [];
  const folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
  const fifos: Fifo[] = [];
  try {
    const paths = Array.from({ length: count }, (_, at) => join(folder, String(at)));
    await runFile('mkfifo', ['-m', '600', ...paths]);
    for (const path of paths) fifos.push(openBoth(path));
    return fifos;
  } catch (error) {
    for (const { readFd, writeFd } of fifos) for (const fd of [readFd, writeFd]) closeSync(fd);
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// open(2): only a name for it, which keeps neither end open. Node has no constant for it.
const O_PATH = 0o10000000;

/**
 * Whoever opens a FIFO again (/dev/stdin) waits for its other end where that has gone, for ever; a pipe of a shell makes nobody wait
 * (fifo(7)). Keeps the FIFO behind this descriptor, which stays the caller's. What is returned lets them in from `gone` on until `over`:
 * for an instant there is another end.
 */
export function reopenable(fd: number): (gone: Promise<unknown>, over: Promise<unknown>) => Promise<void> {
  const pathFd = process.platform === 'linux' ? openAgain(fd, O_PATH) : undefined;
  return async (gone, over) => {
    if (pathFd === undefined) return;
    const ended = new AbortController();
    const end = (): void => ended.abort();
    over.then(end, end);
    await Promise.race([gone, over]).catch(() => {});
    for (let ms = 5; !ended.signal.aborted; ms = Math.min(2 * ms, maxKnockMs)) {
      const otherEnd = openAgain(pathFd, constants.O_RDWR | constants.O_NONBLOCK);
      if (otherEnd !== undefined) closeSync(otherEnd);
      await pause(ms, ended.signal);
    }
    closeSync(pathFd);
  };
}

const maxKnockMs = 200;

/** Undefined where there is no descriptor left. */
function openAgain(fd: number, flags: number): number | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, flags);
  } catch {
    return undefined;
  }
}

/** Removes what processes of this user have left that were killed while they made pipes. */
export function sweepFifos(): void {
  for (const name of namesIn(tmpdir())) {
    const pid = Number(/^(\d+)-/.exec(name.startsWith(prefix) ? name.slice(prefix.length) : '')?.[1]);
    const folder = join(tmpdir(), name);
    try {
      if (pid > 0 && !isAlive(pid) && isOwnAndOld(folder)) rmSync(folder, { recursive: true });
    } catch {
      // Somebody else has removed it.
    }
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/**
 * What others have there may lead anywhere. The number of a process says nothing where that is in another container with the same /tmp
 * (pid_namespaces(7)), but making pipes takes no minute.
 */
function isOwnAndOld(folder: string): boolean {
  const stat = lstatSync(folder);
  return stat.isDirectory() && stat.uid === process.geteuid!() && stat.mtimeMs < Date.now() - 60_000;
}

// A reader that does not block lets the writer be opened, and the writer lets a reader be opened that blocks later (fifo(7)).
function openBoth(path: string): Fifo {
  const opener = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const writeFd = openSync(path, constants.O_WRONLY);
    try {
      return { readFd: openSync(path, constants.O_RDONLY), writeFd };
    } catch (error) {
      closeSync(writeFd);
      throw error;
    }
  } finally {
    closeSync(opener);
  }
}
