import { reasonOf } from '@dipus/proto/failure';
import { startProcess } from '@dipus/programs/start-process';
import type { Transport } from './transport.ts';
import { expandTokens, type TokenValues } from '../settings/tokens.ts';

/** A program whose stdin and stdout lead to the server. */
export interface Proxy {
  readonly program: string;
  readonly args: readonly string[];
  /** As a person reads it. */
  readonly name: string;
}

/** The program that ProxyCommand or ProxyJump asks for; undefined: none. */
export function proxyOf(command: string | undefined, values: TokenValues): Proxy | undefined {
  if (command !== undefined) {
    const line = expandTokens(command, values);
    return { program: '/bin/sh', args: ['-c', `exec ${line}`], name: line };
  }
  return values.jump === '' ? undefined : jumpOf(values);
}

/** `ssh -W` over the last hop; ssh itself jumps over those before it. */
function jumpOf({ host, port, jump }: TokenValues): Proxy {
  const hops = jump.split(',');
  const last = hops.pop()!;
  const before = hops.length > 0 ? ['-J', hops.join(',')] : [];
  const args = [...before, '-W', `[${host}]:${port}`, ...operandsOf(last)];
  return { program: 'ssh', args, name: ['ssh', ...args].join(' ') };
}

/** A hop as options and operand of ssh: its URIs have no IPv6 addresses. */
function operandsOf(hop: string): string[] {
  const [, user, bracketed, name, port] = /^(?:ssh:\/\/)?(?:(.*)@)?(?:\[(.*)\]|([^:]*))(?::(\d+))?\/?$/.exec(hop) ?? [];
  const host = bracketed ?? name;
  if (host === undefined) return ['--', hop];
  return [...(user === undefined ? [] : ['-l', user]), ...(port === undefined ? [] : ['-p', port]), '--', host];
}

/** Runs a proxy. What it says on stderr is explained, and its last line is the reason where it fails. The caller destroys the transport. */
export function runProxy({ program, args, name }: Proxy, explain: (line: string) => void): Transport {
  const child = startProcess(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  const [input, output, stderr] = [child.stdin!, child.stdout!, child.stderr!];
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
    for (const line of text.split('\n').filter((each) => each.trim() !== '')) explain(`proxy: ${line.trim()}`);
  });
  for (const pipe of [input, output, stderr]) pipe.on('error', () => {});
  const ended = new Promise<unknown>((resolve) => {
    child.on('error', (error) => resolve(`cannot run the proxy ${name}: ${reasonOf(error)}`));
    child.on('close', (status, signal) => resolve(`the proxy ended (${name}): ${lastLine(said) ?? `status ${status ?? signal}`}`));
  });
  return { input: output, output: input, address: () => undefined, ended, destroy: () => child.kill() };
}

function lastLine(text: string): string | undefined {
  return text.trim().split('\n').at(-1)?.trim() || undefined;
}
