// The lock of a directory (tree.md, Birth): held by a listening abstract socket on Linux, by O_EXLOCK elsewhere; it dies with its holder.
import { closeSync, constants, openSync, type Stats } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { isLinux } from './socket-file.ts';

// BSD and macOS, open(2); Node has no name for it.
const O_EXLOCK = 0x20;
// sun_path, filled to its end: the same name whether or not a runtime pads it (unix(7)).
const abstractBytes = 108;

/** Runs `work` while the directory's lock is held. Not had within timing.lockMs: undefined, and `work` was not run. */
export async function withLock<T>(directory: string, stat: Stats, work: () => Promise<T>): Promise<T | undefined> {
  const release = await acquire(directory, stat);
  if (!release) return undefined;
  try {
    return await work();
  } finally {
    await release();
  }
}

async function acquire(directory: string, stat: Stats): Promise<(() => Promise<void>) | undefined> {
  for (const end = Date.now() + timing.lockMs; ;) {
    const release = isLinux ? await tryAbstract(stat) : tryFile(directory);
    if (release) return release;
    if (Date.now() >= end) return undefined;
    await sleep(2 + Math.random() * 8);
  }
}

function tryAbstract(stat: Stats): Promise<(() => Promise<void>) | undefined> {
  const name = `\0dipus-lock:${stat.dev}:${stat.ino}:`.padEnd(abstractBytes, '.');
  const server = createServer((connection) => connection.destroy());
  return new Promise((resolve, reject) => {
    server.on('error', (error) => (codeOf(error) === 'EADDRINUSE' ? resolve(undefined) : reject(error)));
    server.listen(name, () => resolve(() => new Promise((closed) => server.close(() => closed()))));
  });
}

function tryFile(directory: string): (() => Promise<void>) | undefined {
  try {
    const fd = openSync(directory, constants.O_RDONLY | constants.O_NONBLOCK | O_EXLOCK);
    return () => Promise.resolve(closeSync(fd));
  } catch (error) {
    if (codeOf(error) === 'EAGAIN' || codeOf(error) === 'EWOULDBLOCK') return undefined;
    throw error;
  }
}
