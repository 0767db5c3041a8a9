import { hasLibc, libc } from './libc.ts';

const F_SETPIPE_SZ = 1031;

/**
 * Lets a pipe hold this many bytes; `fd` is one of its ends. It holds what it held where there is no koffi, or where this user has as much
 * in pipes as the system allows (pipe(7), fcntl(2)).
 */
export function widenPipe(fd: number, bytes: number): void {
  if (hasLibc()) libc().fcntl(fd, F_SETPIPE_SZ, 'int', bytes);
}
