import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { Failure } from '@dipus/proto/failure';
import { aborted } from '@dipus/proto/waiting';
import { startProcess } from '@dipus/programs/start-process';
import { resolveAll } from './addresses.ts';
import type { Job } from './args.ts';
import type { EndedLogin, NearOptions, Session } from './attempt.ts';
import { socketOptions } from './bytes.ts';
import { direct } from './direct.ts';
import { lendTerminal, startLogin } from './login.ts';
import { listenForAny } from './listen.ts';
import { runRemote } from './run-remote.ts';
import { startLimit } from './limit.ts';

// The protocol of socketpipe 1.x: the login command runs `socketpipe -s HOST PORT COMMAND...`, whoever connects first is the remote end.

/** As setUp, with an old remote end. */
export async function setUpOldPeer(job: Job, options: NearOptions): Promise<Session | EndedLogin | undefined> {
  const host = job.host ?? (await askAddress(job.login));
  const listener = await listenForAny(job.ports, job.family);
  const words = ['socketpipe', '-s', host, String(listener.port), ...job.remote];
  options.explain(`logging in: ${[...job.login, ...words].join(' ')}`);
  const login = startLogin(job.login, words, options.showStderr);
  const isAtTerminal = options.isStdinTerminal && !job.isBatch;
  const releaseTerminal = isAtTerminal ? lendTerminal(options.openStdin(), login) : () => {};
  if (!isAtTerminal) login.stdin.end();
  const limit = startLimit(job.limitMs, (reason) => new Failure('wait for', 'the remote end', reason));
  const ended = login.ended.then((ending) => ({ login, ending }));
  try {
    const result = await Promise.race([listener.first, ended, limit.late, aborted(options.stop)]);
    if (result && 'remoteAddress' in result) return { connection: direct(result), login, releaseTerminal };
    releaseTerminal();
    login.kill('SIGTERM');
    return result;
  } catch (error) {
    releaseTerminal();
    login.kill('SIGTERM');
    throw error;
  } finally {
    listener.close();
    limit.clear();
  }
}

/** The remote end as an old near end starts it. Gives the command's status. */
export async function serveOldPeer(
  peer: { host: string; port: number; command: readonly string[] },
  options: { warn: (error: unknown) => void; stop: AbortSignal },
): Promise<number> {
  const socket = await connectUnread(await resolveAll([peer.host], 0), peer);
  return runRemote(direct(socket), peer.command, options);
}

async function connectUnread(addresses: readonly string[], peer: { host: string; port: number }): Promise<Socket> {
  let trouble: unknown = 'no such host';
  for (const host of addresses) {
    const socket = connect({ ...socketOptions, host, port: peer.port });
    // Paused before it is connected, it is never read.
    socket.pause();
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      trouble = error;
    }
  }
  throw new Failure('connect to', `${peer.host} port ${peer.port}`, trouble);
}

/** What an old remote end is to call: our address as the login session knows it. */
async function askAddress(login: readonly string[]): Promise<string> {
  const child = startProcess(login[0]!, [...login.slice(1), 'printenv', 'SSH_CLIENT'], { stdio: ['ignore', 'pipe', 'inherit'] });
  child.on('error', () => {});
  const address = (await text(child.stdout!)).trim().split('\n').at(-1)!.split(' ')[0];
  if (!address)
    throw new Failure('find', 'the address that the remote end can call', 'the login session does not tell').withHint('give it by -h HOST');
  return address;
}
