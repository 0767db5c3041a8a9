// Functions of the C library by koffi, an optional dependency that comes compiled. It is loaded on first use.
import { realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { getSystemErrorMap } from 'node:util';
import { Failure } from '@dipus/proto/failure';

/** recvmsg(2) and sendmsg(2). A buffer is used in place. */
export interface MessageHeader {
  name: null;
  namelen: number;
  iov: readonly { base: Buffer; length: number }[];
  iovlen: number;
  control: Buffer | null;
  controllen: number;
  flags: number;
}

/** What is used of the C library. Each returns -1 where it fails. */
export interface Libc {
  sendmsg(fd: number, message: MessageHeader, flags: number): number;
  /** Sets controllen and flags of the message. */
  recvmsg(fd: number, message: MessageHeader, flags: number): number;
  getsockopt(fd: number, level: number, name: number, value: Buffer, length: [number]): number;
  fcntl(fd: number, command: number, type: 'int', value: number): number;
  flock(fd: number, operation: number): number;
  socketpair(domain: number, type: number, protocol: number, pair: [number, number]): number;
  /** The error of the call before. */
  systemError(): Error;
  readonly wordBytes: number;
}

/** What is used of koffi 3. */
interface Koffi {
  load(path: null): { func(prototype: string): (...args: unknown[]) => number };
  struct(name: string, fields: Record<string, string>): unknown;
  sizeof(type: string): number;
  errno(): number;
}

let loaded: Libc | Failure | undefined;

/** Throws Failure, with what to install, where there is no koffi. It is looked for once. */
export function libc(): Libc {
  loaded ??= load();
  if (loaded instanceof Failure) throw loaded;
  return loaded;
}

/** Whether there is koffi. */
export function hasLibc(): boolean {
  loaded ??= load();
  return !(loaded instanceof Failure);
}

function load(): Libc | Failure {
  if (process.platform !== 'linux') return new Failure('load', 'koffi', 'descriptors are passed on Linux alone');
  const require = createRequire(import.meta.url);
  try {
    // koffi looks for its native part beside its real directory; Node has been seen to load it by that of a symbolic link.
    return declare(require(realpathSync.native(require.resolve('koffi'))) as Koffi);
  } catch (error) {
    const beside = dirname(fileURLToPath(import.meta.url));
    const reason = error instanceof Error ? error.message.split('\n')[0]! : String(error);
    return new Failure('load', 'koffi', reason).withHint(`install it with "npm install --prefix ${beside} koffi@3.3"`);
  }
}

function declare(koffi: Koffi): Libc {
  koffi.struct('dipus_iovec', { base: 'void *', length: 'size_t' });
  koffi.struct('dipus_msghdr', {
    name: 'void *',
    namelen: 'uint32_t',
    iov: 'dipus_iovec *',
    iovlen: 'size_t',
    control: 'void *',
    controllen: 'size_t',
    flags: 'int',
  });
  const library = koffi.load(null);
  const func = (prototype: string): ((...args: unknown[]) => number) => library.func(prototype);
  return {
    sendmsg: func('intptr_t sendmsg(int fd, dipus_msghdr *message, int flags)'),
    recvmsg: func('intptr_t recvmsg(int fd, _Inout_ dipus_msghdr *message, int flags)'),
    getsockopt: func('int getsockopt(int fd, int level, int name, void *value, _Inout_ uint32_t *length)'),
    fcntl: func('int fcntl(int fd, int command, ...)'),
    flock: func('int flock(int fd, int operation)'),
    socketpair: func('int socketpair(int domain, int type, int protocol, _Out_ int *pair)'),
    systemError: () => systemError(koffi.errno()),
    wordBytes: koffi.sizeof('size_t'),
  };
}

/** An error as Node gives it. */
function systemError(errno: number): Error {
  const [code, message] = getSystemErrorMap().get(-errno) ?? [`E${errno}`, `error ${errno}`];
  return Object.assign(new Error(message), { code, errno: -errno });
}
