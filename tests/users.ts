// Two users of one tree, and programs of theirs. Only root can be other users.
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import * as assert from 'uvu/assert';
import { bundle, eventually, withSandbox, type Ended, type Program, type Sandbox, type Suite } from './harness.ts';

// Users of the tests' own; they need no passwd entry.
export const mallory = 12_345;
export const ann = 23_456;

export const isRoot: boolean = process.geteuid!() === 0;

export interface Users extends Sandbox {
  /** Starts a tool of ours or a program from PATH as this user. */
  startAs(uid: number, command: string, ...args: string[]): Program;
  runAs(uid: number, command: string, ...args: string[]): Promise<Ended>;
  runWith(uid: number, input: string, command: string, ...args: string[]): Promise<Ended>;
}

/** A sandbox in a directory that every user can reach. */
export function withUsers(body: (sandbox: Users) => Promise<void>): Promise<void> {
  return withSandbox(async (sandbox) => {
    chmodSync(sandbox.dir, 0o755);
    const argsOf = (uid: number, command: string, args: readonly string[]): string[] => {
      const own = bundle(command);
      const program = existsSync(own) ? [process.execPath, own] : [command];
      return [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', ...program, ...args];
    };
    await body({
      ...sandbox,
      startAs: (uid, command, ...args) => sandbox.start('setpriv', argsOf(uid, command, args)),
      runAs: (uid, command, ...args) => sandbox.run('setpriv', argsOf(uid, command, args)),
      runWith: (uid, input, command, ...args) => sandbox.run('setpriv', argsOf(uid, command, args), input),
    });
  });
}

/** The same, with a tree as etc/tmpfiles.d/dipus.conf makes it for many users. */
export function withSharedTree(body: (sandbox: Users) => Promise<void>): Promise<void> {
  return withUsers(async (sandbox) => {
    mkdirSync(sandbox.root);
    for (const area of ['local', 'exported']) {
      mkdirSync(`${sandbox.root}/${area}`);
      chmodSync(`${sandbox.root}/${area}`, 0o1777);
    }
    try {
      await body(sandbox);
    } finally {
      // Nothing of Node's removes paths beyond the longest.
      await sandbox.run('rm', ['-rf', sandbox.root]);
    }
  });
}

/** A test of users and of what a mode forbids. */
export function testAsRoot(test: Suite, title: string, body: () => Promise<void>, deadlineMs?: number): void {
  if (isRoot) test(title, body, deadlineMs);
  else test.skip(title, 'only root can be other users');
}

const script = `
  const [path, mode, answer] = process.argv.slice(1);
  const server = require('node:net').createServer({ allowHalfOpen: true }, (connection) => {
    console.log('connection');
    let got = '';
    connection.on('error', () => {}).on('data', (bytes) => (got += bytes));
    connection.on('end', () => {
      console.log('got ' + JSON.stringify(got));
      connection.end(answer === 'upper' ? got.toUpperCase() : answer);
    });
  });
  server.listen({ path, backlog: 1 }, () => {
    require('node:fs').chmodSync(path, parseInt(mode, 8));
    console.log('ready');
  });`;

/**
 * What makes a socket with this mode and tells of each connection and of what it got; it answers `upper`: that in upper case, else the
 * text.
 */
export async function listener(users: Users, uid: number, path: string, { mode = '666', answer = 'upper' } = {}): Promise<Program> {
  const program = users.startAs(uid, process.execPath, '-e', script, path, mode, answer);
  assert.is(await program.line(), 'ready');
  return program;
}

/** Connects until the queue is full. What the listener has not accepted stays in its queue, also when the client has gone. */
export async function fillQueue(path: string): Promise<number> {
  for (let count = 0; count < 100_000; count++) {
    const code = await new Promise<string>((resolve) => {
      const socket = connect(path, () => {
        socket.destroy();
        resolve('');
      }).on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    });
    if (code === 'EAGAIN') return count;
    assert.is(code, '');
  }
  throw new Error(`the queue of ${path} never fills`);
}

/** Accounts of the tests' own, which only what runs in `around` sees: users by name, and groups with their members. */
export interface Accounts {
  /** A command, and its arguments, that runs another one with these accounts. */
  around(command: string, ...args: string[]): [command: string, args: string[]];
}

/** Adds accounts to those of the system, for a mount namespace. Only root can. */
export function accounts(
  dir: string,
  users: Record<string, number>,
  groups: Record<string, readonly [gid: number, ...members: string[]]>,
): Accounts {
  const ownGroups = Object.entries(users).map(([name, id]) => `${name}:x:${id}:\n`);
  const passwd = Object.entries(users).map(([name, id]) => `${name}:x:${id}:${id}::/:/bin/sh\n`);
  const group = Object.entries(groups).map(([name, [gid, ...members]]) => `${name}:x:${gid}:${members.join(',')}\n`);
  const etc = copyOfEtc(dir);
  appendFileSync(`${etc}/passwd`, passwd.join(''));
  appendFileSync(`${etc}/group`, [...ownGroups, ...group].join(''));
  const mount = `mount --bind ${etc} /etc && exec "$@"`;
  return {
    around: (command, ...args) => {
      const own = bundle(command);
      const program = existsSync(own) ? [process.execPath, own] : [command];
      return ['unshare', ['-m', 'sh', '-c', mount, 'sh', ...program, ...args]];
    },
  };
}

/** A copy of /etc, to be mounted over it: a file of it that is mounted is gone as soon as somebody else replaces that file (useradd(8)). */
export function copyOfEtc(dir: string): string {
  execFileSync('cp', ['-a', '/etc', `${dir}/etc`]);
  return `${dir}/etc`;
}

let made = 0;

/** An account of the system, in the group of all users, that has gone when `body` has ended. `words`: more of useradd(8)'s. */
export async function withAccount<T>(words: readonly string[], body: (name: string) => Promise<T>): Promise<T> {
  const name = `dipus-t${process.pid}-${made++}`;
  // The files of accounts are locked by whoever changes them at the same time.
  await eventually('there is an account', () => succeeds('useradd', '-M', '-N', '-s', '/bin/sh', ...words, name));
  try {
    return await body(name);
  } finally {
    // Also where something of its last login has not ended yet.
    await eventually('the account is gone', () => succeeds('userdel', '-f', name) || !succeeds('id', '-u', name));
  }
}

function succeeds(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}
