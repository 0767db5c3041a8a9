// An exporter that root has started to speak TLS, as three kinds of process: this one, which stays root, the exporter, and openers
// (dexport(1), Permissions).
import { spawnSync, type ChildProcess } from 'node:child_process';
import { Failure } from '@dipus/proto/failure';
import { notifyEnvironment } from '@dipus/cli/notify';
import type { Context, EndedBySignal } from '@dipus/cli/run';
import { watchAuthorizedPeers } from '@dipus/seps/authorized-peers';
import { configFolder } from '@dipus/seps/config-folder';
import { takeInvitation } from '@dipus/seps/pairing';
import { userId } from '@dipus/tree/accounts';
import { rootPath } from '@dipus/tree/root';
import { readTrust, type Environment } from '@dipus/tree/trust';
import { forkProcess } from '@dipus/programs/start-process';
import { Keeper } from './keeper.ts';
import { exporterRole } from './roles.ts';
import type { OpenerTree } from './orders.ts';

// Root's rights come from two sets. What may be inherited is all that is left when the other one, the bounding set, is empty; and that one
// stays empty for good, so that nothing this process could run would give it back what it has given up.
const inherited = ['--inh-caps=-all,+setuid,+setgid,+net_bind_service'];
const bounded = ['--no-new-privs', '--bounding-set=-all'];
const setpriv = 'setpriv';

export interface KeepOptions {
  /** The file of this very program. */
  readonly program: string;
  /** The command line, for the exporter. */
  readonly argv: readonly string[];
  /** Whom the exporter runs as. */
  readonly user: string;
  readonly environment: Environment;
}

/** Starts the exporter and serves it until it ends. Resolves with how that was. Throws Failure. */
export async function keep(context: Context, options: KeepOptions): Promise<number | EndedBySignal> {
  const { program, environment } = options;
  const tree = treeOf(options);
  const folder = configFolder(environment, readTrust(environment));
  // The exporter tells what is wrong with the file.
  const authorized = watchAuthorizedPeers(folder, { warn: () => {}, judgeAgain: () => {} });
  const exporter = startExporter(options);
  const keeper = new Keeper(exporter, {
    program,
    tree,
    whyNot: (user) => {
      const isNamed = (): boolean => authorized.peers.lines.some((line) => !('reason' in line) && line.user === user);
      // The exporter may have read the file before.
      if (!isNamed()) authorized.readNow();
      return isNamed() ? undefined : `no key acts as ${user}`;
    },
    pair: (request) => {
      const answer = takeInvitation(folder, request);
      authorized.readNow();
      return answer;
    },
  });
  exporter.on('message', (message) => keeper.take(message));
  context.interceptSignals((signal) => exporter.kill(signal));
  try {
    return await endOf(exporter);
  } finally {
    keeper.close();
    authorized.close();
  }
}

function treeOf({ user, environment }: KeepOptions): OpenerTree {
  const uid = userId(user);
  if (uid === undefined) throw new Failure('run as user', user, 'there is no such user');
  return { root: rootPath(environment), uid, uids: [...readTrust(environment, uid).uids] };
}

function startExporter({ program, argv, user }: KeepOptions): ChildProcess {
  const { execPath, execArgv } = userId(user) === 0 ? process : boundedNode();
  // A session of its own: a terminal's signals go to the keeper alone, which passes them on.
  return forkProcess(program, [exporterRole, ...argv], {
    execPath,
    execArgv: [...execArgv],
    detached: true,
    // It is the exporter that is ready.
    env: { ...process.env, ...notifyEnvironment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
}

async function endOf(exporter: ChildProcess): Promise<number | EndedBySignal> {
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    exporter.once('error', (error) => reject(new Failure('start', 'the exporter', error)));
    exporter.once('exit', (...how) => resolve(how));
  });
  if (signal === null) return code ?? 1;
  if (['SIGINT', 'SIGTERM', 'SIGHUP'].includes(signal)) return { signal };
  throw new Failure('keep', 'the exporter', `it was killed by ${signal}`);
}

/**
 * What is to be run instead of Node: as root, with no more rights than it needs to become another user (capabilities(7)). It is Node itself
 * where there is no setpriv(1), or it may not do that.
 */
function boundedNode(): { readonly execPath: string; readonly execArgv: readonly string[] } {
  const args = [...inherited, setpriv, ...bounded];
  const isPossible = spawnSync(setpriv, [...args, 'true'], { stdio: 'ignore' }).status === 0;
  if (!isPossible) return { execPath: process.execPath, execArgv: process.execArgv };
  return { execPath: setpriv, execArgv: [...args, process.execPath, ...process.execArgv] };
}
