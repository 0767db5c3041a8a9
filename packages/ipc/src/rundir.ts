// Directories of libipc, in which its programs have their sockets: ipc(5), Rundirs.
import { closeSync, constants, lstatSync, mkdirSync, openSync, realpathSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { hasLibc } from '@dipus/descriptors/libc';
import { tryLock } from '@dipus/descriptors/lock';
import { codeOf, Failure } from '@dipus/proto/failure';
import type { Era } from '@dipus/proto/ipc-frame';
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { whyNotAsRoot } from '@dipus/proto/trust';
import { listenAt, type ListeningSocket, type Tenant } from '@dipus/tree/listening-socket';
import type { Tree } from '@dipus/tree/root';
import { underUmask } from '@dipus/tree/umask';

export interface Rundir {
  readonly path: string;
  readonly era: Era;
}

/** Who answers at a name in a rundir. */
export interface RundirTenant extends Pick<Tenant, 'stop' | 'access'> {
  /** Connected, half-open and not read yet; its to close. */
  connected(connection: Socket): void;
  /** News of the name, or of a connection that could not be accepted. */
  warn(error: unknown): void;
}

/** The directories of both eras: `$RUNDIR` and `$IPC_RUNDIR`, or those that are given, each for both. */
export function rundirsOf(environment: Readonly<Record<string, string | undefined>>, given: readonly string[]): readonly Rundir[] {
  if (given.length > 0)
    return given.flatMap((path): Rundir[] => [
      { path, era: 'zig' },
      { path, era: 'c' },
    ]);
  return [
    { path: environment['RUNDIR'] || '/tmp/.libipc-run', era: 'zig' },
    { path: environment['IPC_RUNDIR'] || '/run/ipc', era: 'c' },
  ];
}

/** A rundir as what services of it are trusted by; undefined where it is not there. Throws Failure where it may not be relied on. */
export function trustedRundir(tree: Tree, { path }: Rundir): Tree | undefined {
  try {
    const root = realpathSync(path);
    const why = whyNotAsRoot(lstatSync(root), tree.trust);
    if (why) throw new Failure('use rundir', path, why);
    return { ...tree, root };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error instanceof Failure ? error : new Failure('use rundir', path, error);
  }
}

/** Keeps a socket at a name in a rundir, which is made where it is not there, until it is released. Throws Failure. */
export async function keepRundirSocket(
  tree: Tree,
  at: Rundir & { name: string },
  tenant: RundirTenant,
): Promise<{ path: string; release(): void }> {
  const root = (trustedRundir(tree, at) ?? made(tree, at)).root;
  const path = `${root}/${at.name}`;
  const unlock = at.era === 'zig' ? lock(`${path}.lock`) : (): void => {};
  const open = (): ReturnType<Tenant['open']> =>
    createServer({ allowHalfOpen: true, pauseOnConnect: true }, (connection) => tenant.connected(connection)).on('error', (error) =>
      tenant.warn(error),
    );
  const listen = (): Promise<ListeningSocket> => listenAt(path, { ...tenant, open });
  try {
    const kept = keep(await listen(), listen, { path, warn: (error) => tenant.warn(error) });
    return {
      path,
      release: () => {
        kept.release();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** Programs of libipc unlink whatever is at their path. */
function keep(
  first: ListeningSocket,
  listen: () => Promise<ListeningSocket>,
  { path, warn }: { path: string; warn(error: unknown): void },
): { release(): void } {
  let socket = first;
  let isPlacing = false;
  const released = new AbortController();
  const again = async (): Promise<void> => {
    socket.release();
    for (let isTold = false; !released.signal.aborted; isTold = true) {
      try {
        socket = await listen();
        if (released.signal.aborted) return socket.release();
        return warn(`${path} was taken away; made it again`);
      } catch (error) {
        if (!isTold && !released.signal.aborted) warn(error);
        await delay(timing.keepMs);
      }
    }
  };
  const look = (): void => {
    if (isPlacing || socket.isThere()) return;
    isPlacing = true;
    void again().finally(() => (isPlacing = false));
  };
  const timer = setInterval(look, timing.keepMs);
  return {
    release: () => {
      released.abort();
      clearInterval(timer);
      socket.release();
    },
  };
}

function made(tree: Tree, at: Rundir): Tree {
  try {
    underUmask(0o022, () => mkdirSync(at.path, 0o755));
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw new Failure('create rundir', at.path, error);
  }
  const found = trustedRundir(tree, at);
  if (!found) throw new Failure('create rundir', at.path, 'it was taken away');
  return found;
}

/** As libipc locks the name of a service; not where koffi is missing. The file stays. */
function lock(path: string): () => void {
  if (!hasLibc()) return () => {};
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw new Failure('lock', path, error);
  }
  try {
    if (!tryLock(descriptor)) throw new Failure('lock', path, 'in use').withHint('another program answers there: fuser shows which');
  } catch (error) {
    closeSync(descriptor);
    throw error instanceof Failure ? error : new Failure('lock', path, error);
  }
  return () => closeSync(descriptor);
}
