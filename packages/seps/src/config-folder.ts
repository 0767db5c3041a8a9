// The folder with this user's key and the two files of peers, and what is asked of its files before they are believed.
import { closeSync, constants, fchmodSync, fstatSync, lstatSync, mkdirSync, openSync, readFileSync, readSync, realpathSync } from 'node:fs';
import { statSync, writeSync, type Stats } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { codeOf, Failure } from '@dipus/proto/failure';
import { whyNotAsRoot, whyNotKeptFile, type Trust } from '@dipus/proto/trust';

export interface ConfigFolder {
  readonly dir: string;
  /** Whom its files may belong to. */
  readonly trust: Trust;
  /** The modes of a folder that is made and of files that others may read. */
  readonly dirMode: number;
  readonly openMode: number;
}

/** What a file must not be besides. */
export type WhyNot = (stat: Stats) => string | undefined;

/** The folder that root's programs use, and whose known_peers everybody reads. */
const systemDir = '/etc/dipus';

const privateMode = { dirMode: 0o700, openMode: 0o600 };
// Pins are no secrets, and an exporter that is no longer root must read them.
const systemMode = { dirMode: 0o755, openMode: 0o644 };

/** $DIPUS_CONFIG, else /etc/dipus for root, else dipus in $XDG_CONFIG_HOME or ~/.config. Nothing is read or made yet. */
export function configFolder(environment: Readonly<Record<string, string | undefined>>, trust: Trust): ConfigFolder {
  const isRoot = trust.uid === 0;
  const given = environment['DIPUS_CONFIG'];
  const xdg = environment['XDG_CONFIG_HOME'];
  // The XDG specification: a relative path there does not count.
  const home = xdg?.startsWith('/') ? xdg : join(homedir(), '.config');
  const own = isRoot ? systemDir : join(home, 'dipus');
  return { dir: given ? resolve(given) : own, trust, ...(isRoot ? systemMode : privateMode) };
}

/** The same of /etc/dipus, to be read. */
export function systemFolder({ trust }: ConfigFolder): ConfigFolder {
  return { dir: systemDir, trust, ...systemMode };
}

/** Makes the folder, or one in it, where it is not there, and checks it. Throws Failure. */
export function makeFolder({ dir, trust, dirMode }: ConfigFolder): void {
  try {
    mkdirSync(dir, { recursive: true, mode: dirMode });
  } catch (error) {
    throw new Failure('make', dir, error);
  }
  checkFolder(dir, trust);
}

/**
 * The text of a file of the folder; undefined where it is not there. Throws Failure where it or the folder may not be relied on, or
 * `whyNot` says why the file may not.
 */
export function readKept(folder: ConfigFolder, name: string, whyNot: WhyNot = () => undefined): string | undefined {
  const path = join(folder.dir, name);
  if (!checkFolder(dirname(path), folder.trust)) return undefined;
  try {
    return withFile(path, constants.O_RDONLY, (fd) => {
      const why = whyNot(checkKept(path, fd, folder.trust));
      if (why !== undefined) throw refuse(path, why);
      return readFileSync(fd, 'utf8');
    });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Appends a line to a file of the folder, both made where they are not there. Throws Failure. */
export function appendLine(folder: ConfigFolder, name: string, line: string): void {
  makeFolder(folder);
  const path = join(folder.dir, name);
  const isNew = lstatOf(path) === undefined;
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;
  const append = (fd: number): void => {
    // Whatever the umask is.
    if (isNew) fchmodSync(fd, folder.openMode);
    const { size } = checkKept(path, fd, folder.trust);
    writeSync(fd, `${endsWithoutNewline(fd, size) ? '\n' : ''}${line}\n`);
  };
  withFile(path, flags, append);
}

/** Runs `work` with a file that is open, never one that a symbolic link leads to. Throws Failure. */
function withFile<T>(path: string, flags: number, work: (fd: number) => T): T {
  let fd;
  try {
    // A named pipe must not make it wait.
    fd = openSync(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
    return work(fd);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const verb = flags & constants.O_RDWR ? 'write' : 'read';
    throw new Failure(verb, path, codeOf(error) === 'ELOOP' ? 'a symbolic link' : error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function checkKept(path: string, fd: number, trust: Trust): Stats {
  const stat = fstatSync(fd);
  const why = whyNotKeptFile(stat, 'regular', trust);
  if (why !== undefined) throw refuse(path, why);
  return stat;
}

/** False where the folder is not there. Throws Failure where it, or a directory above it, may not be relied on. */
function checkFolder(dir: string, trust: Trust): boolean {
  const stat = lstatOf(dir);
  if (!stat) return false;
  const why = whyNotKeptFile(stat, 'directory', trust);
  if (why !== undefined) throw refuse(dir, why);
  for (let path = realpathSync(dirname(dir)); ; path = dirname(path)) {
    const whyNot = whyNotAsRoot(statSync(path), trust);
    if (whyNot !== undefined) throw new Failure('read', dir, `its parent ${path}: ${whyNot}`);
    if (path === dirname(path)) return true;
  }
}

function lstatOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
    throw new Failure('read', path, error);
  }
}

function refuse(path: string, why: string): Failure {
  return new Failure('read', path, why).withHint(hintFor(path, why));
}

function hintFor(path: string, why: string): string | undefined {
  if (why.startsWith('writable')) return `chmod go-w ${path}`;
  return why.startsWith('open to') ? `chmod 600 ${path}` : undefined;
}

function endsWithoutNewline(fd: number, size: number): boolean {
  const last = Buffer.alloc(1);
  return size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
}
