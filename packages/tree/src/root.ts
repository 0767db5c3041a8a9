import { lstatSync, mkdirSync, realpathSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, resolve } from 'node:path';
import { codeOf, Failure, reasonOf } from '@dipus/proto/failure';
import { defaultRoot, isHost } from '@dipus/proto/name';
import { whyNotAsRoot, type Trust } from '@dipus/proto/trust';
import { requireProc } from './socket-file.ts';
import { readTrust, type Environment } from './trust.ts';
import { underUmask } from './umask.ts';

/** Is told of what cannot be read and is therefore left out. */
type PassOver = (path: string, cause: unknown) => void;

/** A socket tree that has been checked, and whom it trusts. The root may not be there yet. */
export interface Tree {
  readonly root: string;
  readonly trust: Trust;
  readonly passOver: PassOver;
}

const maxTold = 20;
const hint = 'set DIPUS_ROOT to a directory of your own, or have the administrator install tmpfiles.d/dipus.conf';

/**
 * The tree of $DIPUS_ROOT, or /tmp/dipus; `explain` is told of what cannot be read in it. Throws Failure where the root or a directory
 * above it may not be relied on, or where there is no /proc.
 */
export function openTree(environment: Environment, explain: (line: string) => void = () => {}): Tree {
  requireProc();
  const root = rootPath(environment);
  const trust = readTrust(environment);
  checkParents(root, trust);
  checkRoot(root, trust);
  return { root, trust, passOver: passOverOnce(explain) };
}

/** The path of the root: $DIPUS_ROOT, or /tmp/dipus. */
export function rootPath(environment: Environment): string {
  return resolve(environment['DIPUS_ROOT'] || defaultRoot);
}

/** Makes the root (0755) where it is not there. Throws Failure. */
export function makeRoot(tree: Tree): void {
  try {
    underUmask(0o022, () => mkdirSync(tree.root, 0o755));
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return checkRoot(tree.root, tree.trust);
    throw new Failure('create root', tree.root, error).withHint(codeOf(error) === 'ENOENT' ? `make ${dirname(tree.root)} first` : hint);
  }
}

/** This host's name in service names: $DIPUS_HOST, or the system's up to its first dot. Throws Failure for one that may not be. */
export function ownHost(environment: Environment): string {
  const given = environment['DIPUS_HOST'];
  const host = given || hostname().split('.')[0]!;
  if (!isHost(host)) throw new Failure('use host name', host, 'not a name that services can have').withHint('set DIPUS_HOST');
  return host;
}

/** Who runs this program, and on which host. */
export interface User {
  readonly environment: Environment;
  readonly trust: Trust;
  readonly host: string;
}

/** What the environment says of the user. Throws Failure. */
export function readUser(environment: Environment): User {
  return { environment, trust: readTrust(environment), host: ownHost(environment) };
}

function checkRoot(root: string, trust: Trust): void {
  try {
    refuse(root, whyNotAsRoot(lstatSync(root), trust));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error instanceof Failure ? error : new Failure('open root', root, error).withHint(hint);
  }
}

function checkParents(root: string, trust: Trust): void {
  const parent = dirname(root);
  let real: string;
  try {
    real = realpathSync(parent);
  } catch (error) {
    // Nothing there yet: the tree is empty, and whoever makes the root is told then.
    if (codeOf(error) === 'ENOENT') return;
    throw new Failure('open root', root, error).withHint(hint);
  }
  for (let path = real; ; path = dirname(path)) {
    const why = whyNotAsRoot(statSync(path), trust);
    if (why) throw new Failure('use root', root, `its parent ${path}: ${why}`).withHint(hint);
    if (path === dirname(path)) return;
  }
}

function refuse(root: string, why: string | undefined): void {
  if (why) throw new Failure('use root', root, why).withHint(hint);
}

/** Explains each path once, and no more than a few: others may have made very many. */
function passOverOnce(explain: (line: string) => void): PassOver {
  const told = new Set<string>();
  return (path, cause) => {
    if (told.size > maxTold || told.has(path)) return;
    told.add(path);
    explain(told.size > maxTold ? 'more is passed over' : `passed over ${path}: ${reasonOf(cause)}`);
  };
}
