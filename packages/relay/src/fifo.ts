// Pipes as a shell makes them, which Node cannot: a program may open /dev/stdin and /dev/stdout again, which it could not if they were
// sockets, and its writes fail with EPIPE alone when its reader has gone.
import { execFile } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Both ends of a pipe, blocking: descriptors of this process, which whoever has asked for them closes. */
export interface Fifo {
  readonly readFd: number;
  readonly writeFd: number;
}

/** Makes pipes (mkfifo(1)) whose names are gone when this resolves. Rejects where they cannot be made, and leaves nothing. */
export async function makeFifos(count: number): Promise<Fifo[]> {
  if (count === 0) return [];
  const folder = mkdtempSync(join(tmpdir(), 'dipus-pipe-'));
  const fifos: Fifo[] = [];
  try {
    const paths = Array.from({ length: count }, (_, at) => join(folder, String(at)));
    await run('mkfifo', ['-m', '600', ...paths]);
    for (const path of paths) fifos.push(openBoth(path));
    return fifos;
  } catch (error) {
    for (const { readFd, writeFd } of fifos) for (const fd of [readFd, writeFd]) closeSync(fd);
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
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
