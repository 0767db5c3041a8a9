// Two roots on one machine that stand for two hosts, joined by dexport and dimport over loopback.
import { connect } from 'node:net';
import { readdirSync, type Dirent } from 'node:fs';
import { eventually, isLong, within, type Program, type Sandbox } from './harness.ts';

export interface Exporter {
  readonly program: Program;
  readonly uri: string;
  readonly port: number;
}

/** dexport of the sandbox's root on a port of its own; ready. */
export async function exporter(sandbox: Sandbox, ...options: string[]): Promise<Exporter> {
  const program = sandbox.start('dexport', ['--user', 'root', '-l', '127.0.0.1:0', ...options]);
  const uri = await program.line();
  return { program, uri, port: Number(uri.split(':').at(-1)) };
}

/** A service of dserve's in exported/, ready. */
export async function offer(sandbox: Sandbox, command: string, name: string, ...options: string[]): Promise<Program & { path: string }> {
  const program = sandbox.start('dserve', ['-x', ...options, command, name]);
  return Object.assign(program, { path: await program.line() });
}

export interface Importer {
  readonly program: Program;
  readonly root: string;
  /** Starts a tool at the importing host. */
  start(command: string, args?: readonly string[]): Program;
  run(command: string, args: readonly string[], input?: Buffer | string): ReturnType<Sandbox['run']>;
  /** Waits until as many sockets are there as asked, and nothing else. */
  has(count: number, ms?: number): Promise<string[]>;
}

/** dimport into the root `b` of the sandbox. */
export function importer(sandbox: Sandbox, ...args: string[]): Importer {
  const root = `${sandbox.dir}/b`;
  const env = { ...sandbox.env, DIPUS_ROOT: root };
  const start = (command: string, own: readonly string[] = []): Program => sandbox.start(command, own, { env });
  const has = async (count: number, ms = 30_000): Promise<string[]> => {
    await eventually(`${count} imported sockets`, () => sockets(root).length === count, ms).catch((error: Error) => {
      throw new Error(`${error.message}; there are ${sockets(root).join(' ')}; stderr: ${program.stderr}`, { cause: error });
    });
    return sockets(root);
  };
  const program = start('dimport', args);
  return { program, root, start, run: (command, own, input) => sandbox.run(command, own, input, { env }), has };
}

/** A time that the design promises: the long form insists on it, the short one shares its machine with others. */
export function promised(ms: number): number {
  return isLong ? ms : Math.max(ms, 30_000);
}

/** All below a folder; what goes while it is looked at may be missing. */
export function below(dir: string): string[] {
  return entriesOf(dir).flatMap((entry) => {
    const inner = entry.isDirectory() ? below(`${dir}/${entry.name}`) : [];
    return [entry.name, ...inner.map((file) => `${entry.name}/${file}`)];
  });
}

function entriesOf(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch {
    return [];
  }
}

/** The plain sockets below a folder. */
export function sockets(dir: string): string[] {
  return below(dir).filter((file) => /(^|\/)[^./][^/]*\.\.\.\d+$/.test(file));
}

/** Sends text to a port of loopback, shuts down unless told otherwise, and gives all that comes back but the news that it goes on. */
export function talk(port: number, text: string | Buffer, isEnded = true, localAddress = '127.0.0.1'): Promise<string> {
  const answered = new Promise<string>((resolve) => {
    let answer = '';
    const socket = connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true });
    socket.on('data', (chunk) => (answer += chunk.toString('latin1'))).on('error', () => {});
    socket.on('end', () => socket.end()).on('close', () => resolve(answer.replaceAll('HTTP/1.1 102 Processing\r\n\r\n', '')));
    if (isEnded) socket.end(text);
    else socket.write(text);
  });
  return within(30_000, 'the answer', answered);
}

/** The head that asks for a service's socket. */
export function upgradeTo(path: string, ...headers: string[]): string {
  return [`GET /${path} HTTP/1.1`, 'Host: x', 'Connection: Upgrade', 'Upgrade: sep', ...headers, '', ''].join('\r\n');
}

export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);
}

/** What came behind the head of an answer. */
export function bodyOf(answer: string): string {
  return answer.slice(answer.indexOf('\r\n\r\n') + 4);
}
