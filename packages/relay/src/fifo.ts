// Pipes as a shell makes them, which Node cannot: a program may open /dev/stdin and /dev/stdout again, which it could not if they were
// sockets, and its writes fail with EPIPE alone when its reader has gone.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '@dipus/proto/failure';

/** Both ends of a pipe, blocking: descriptors of this process, which whoever has asked for them closes. */
export interface Fifo {
  readonly readFd: number;
  readonly writeFd: number;
}

// The shell that makes them takes their names away as soon as its stdin ends, also where that is by our death.
const script = `trap '' HUP INT TERM
  folder=$1
  shift
  mkdir -m 700 "$folder" || exit
  (cd "$folder" && mkfifo -m 600 "$@") && echo made
  read -r word
  rm -rf "$folder"`;

/** Makes pipes (mkfifo(1)) whose names are gone when this resolves. Rejects where they cannot be made, and leaves nothing. */
export async function makeFifos(count: number): Promise<Fifo[]> {
  if (count === 0) return [];
  const folder = join(tmpdir(), `dipus-pipe-${randomBytes(8).toString('hex')}`);
  const names = Array.from({ length: count }, (_, at) => String(at));
  const shell = spawn('/bin/sh', ['-c', script, 'sh', folder, ...names]);
  const gone = once(shell, 'exit');
  const fifos: Fifo[] = [];
  try {
    await made(shell);
    for (const name of names) fifos.push(openBoth(join(folder, name)));
    return fifos;
  } catch (error) {
    for (const { readFd, writeFd } of fifos) for (const fd of [readFd, writeFd]) closeSync(fd);
    throw error;
  } finally {
    shell.stdin.on('error', () => {}).end();
    await gone.catch(() => {});
    // The shell may have been killed.
    rmSync(folder, { recursive: true, force: true });
  }
}

function made(shell: ChildProcessWithoutNullStreams): Promise<void> {
  let complaint = '';
  shell.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  return new Promise((resolve, reject) => {
    shell.stdout.on('data', () => resolve());
    shell.once('error', reject);
    shell.once('close', () => reject(new Failure('make', 'a pipe', complaint.trim().split('\n').at(-1) ?? '')));
  });
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
