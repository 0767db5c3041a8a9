// dexport --seps, a key that it may know, and connections of that key.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { connect, type TLSSocket } from 'node:tls';
import { configFolder } from '@dipus/seps/config-folder';
import { loadIdentity, type Identity } from '@dipus/seps/identity';
import type { Channels } from '@dipus/seps/channels';
import type { Channel } from '@dipus/seps/channel';
import { dial } from '@dipus/seps/dial';
import { readTrust } from '@dipus/tree/trust';
import { eventually, within, type Program, type Sandbox } from './harness.ts';
import { promised } from './sep-pair.ts';

export interface SepsExporter {
  readonly program: Program;
  readonly port: number;
  readonly identity: Identity;
  /** The key of the folder `cli`. */
  readonly laptop: Identity;
  /** The path of authorized_peers. */
  readonly file: string;
  /** Writes the lines of authorized_peers; PIN stands for the laptop's. */
  authorize(...lines: readonly string[]): void;
  /** A connection of the laptop, or of another key. */
  dial(identity?: Identity): Promise<Channels>;
  /** Waits until the laptop sees this list, or is not let in. */
  lists(expected: string | undefined): Promise<void>;
  /** Sends a request in a channel of its own, and gives all that comes back; rejects where that breaks. */
  ask(channels: Channels, text: string): Promise<string>;
  /** The options with which curl is the laptop. */
  readonly curl: readonly string[];
}

/** The key of a user whose folder this is. */
export function identityOf(dir: string): Identity {
  return loadIdentity(configFolder({ DIPUS_CONFIG: dir }, readTrust({})));
}

/** dexport --seps as root has started it, ready, with these lines of authorized_peers. `options` begin with the user it runs as. */
export async function sepsExporter(sandbox: Sandbox, lines: readonly string[], options: readonly string[] = []): Promise<SepsExporter> {
  const [srv, cli] = [`${sandbox.dir}/srv`, `${sandbox.dir}/cli`];
  chmodSync(sandbox.dir, 0o755);
  mkdirSync(srv, { recursive: true });
  mkdirSync(cli, { recursive: true });
  const [identity, laptop] = [identityOf(srv), identityOf(cli)];
  writeFileSync(`${cli}/cert.pem`, laptop.cert);
  const file = `${srv}/authorized_peers`;
  const authorize = (...given: readonly string[]): void => {
    writeFileSync(file, given.map((line) => `${line.replace('PIN', laptop.pin)}\n`).join(''), { mode: 0o644 });
  };
  authorize(...lines);
  const args = ['--seps', '--user', ...(options.length > 0 ? options : ['root']), '-l', '127.0.0.1:0', '--no-announce'];
  const program = sandbox.start('dexport', args, { env: { ...sandbox.env, DIPUS_CONFIG: srv } });
  const port = Number((await program.line()).split(':').at(-1));
  let asked = 0;
  const list = async (): Promise<string | undefined> => {
    // An address that fails often has to wait.
    const localAddress = `127.${(asked >> 8) & 255}.${asked++ & 255}.2`;
    const answer = await speakTls(port, get(''), { key: laptop.key, cert: laptop.cert, localAddress });
    return answer.startsWith('HTTP/1.1 200 ') ? answer.slice(answer.indexOf('\r\n\r\n') + 4) : undefined;
  };
  const lists = async (expected: string | undefined): Promise<void> => {
    await eventually(`the list ${expected}`, async () => (await list()) === expected);
  };
  const peer = { pin: identity.pin, name: 'box', max: 1024 };
  return {
    program,
    port,
    identity,
    laptop,
    file,
    authorize,
    lists,
    dial: (key = laptop) => dial({ host: '127.0.0.1', port, identity: key, judge: () => peer }),
    ask: (channels, text) => answerOf(channels.open(), text),
    curl: ['-sSk', '--max-time', '20', '--pinnedpubkey', identity.pin, '--cert', `${cli}/cert.pem`, '--key', `${cli}/key.pem`],
  };
}

/** Sends text to its end, and reads to the end. */
function answerOf(channel: Channel, text: string): Promise<string> {
  const answered = new Promise<string>((resolve, reject) => {
    let answer = '';
    channel.on('data', (bytes: Buffer) => (answer += bytes.toString('latin1'))).on('error', reject);
    channel.on('end', () => resolve(answer.replaceAll('HTTP/1.1 102 Processing\r\n\r\n', '')));
  });
  channel.end(text);
  return within(30_000, 'the answer', answered);
}

/** Reads what a watch tells, a line at a time. */
export function watch(channel: Channel): { next(pattern: RegExp): Promise<void>; readonly text: string } {
  let text = '';
  channel.on('data', (bytes: Buffer) => (text += bytes.toString())).on('error', () => {});
  channel.on('end', () => channel.end());
  channel.write(get('?watch'));
  return {
    next: async (pattern) => {
      await eventually(`a watch like ${pattern}`, () => pattern.test(text), promised(1000));
    },
    get text() {
      return text;
    },
  };
}

/** A head without a body, of a request that is the last one. */
export function get(path: string, ...headers: readonly string[]): string {
  return [`GET /${path} HTTP/1.1`, 'Host: x', 'Connection: close', ...headers, '', ''].join('\r\n');
}

export interface TlsClient {
  readonly key?: string;
  readonly cert?: string;
  readonly alpn?: string;
  readonly localAddress?: string;
}

/** What somebody gets who speaks TLS with this key, or none, and sends this. */
export function speakTls(port: number, text: string, given: TlsClient): Promise<string> {
  const answered = new Promise<string>((resolve) => {
    let answer = '';
    const { alpn, ...others } = given;
    const options = { port, host: '127.0.0.1', rejectUnauthorized: false, ...others, ...(alpn !== undefined && { ALPNProtocols: [alpn] }) };
    const socket: TLSSocket = connect(options, () => socket.write(text));
    socket.on('data', (bytes: Buffer) => (answer += bytes.toString('latin1')));
    socket.on('error', (error) => (answer += `[${(error as NodeJS.ErrnoException).code}]`)).on('close', () => resolve(answer));
  });
  return within(30_000, 'the answer', answered);
}
