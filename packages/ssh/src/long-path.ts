// Sockets whose paths are longer than connect(2) takes there: reached by a symbolic link in a directory that only we may enter.
import { randomBytes } from 'node:crypto';
import type { Sftp } from './sftp.ts';

/** The longest path, in bytes, that every system takes (sun_path: Linux 107, BSD and macOS 103). */
export const maxPathBytes = 103;

/** Calls `use` with a short path that leads to `path`, and takes it away again. */
export async function withShortPath<T>(sftp: Sftp, path: string, use: (path: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) <= maxPathBytes) return use(path);
  const directory = `/tmp/.dipus-${randomBytes(8).toString('hex')}`;
  const link = `${directory}/s`;
  await sftp.makeDirectory(directory, 0o700);
  try {
    await sftp.link(path, link);
    return await use(link);
  } finally {
    await sftp.remove(link).catch(() => {});
    await sftp.removeDirectory(directory).catch(() => {});
  }
}
