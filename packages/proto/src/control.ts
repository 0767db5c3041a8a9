/** What the control socket says: its prefaces and the payloads of its frames (frame.ts has their shape). */
import { isCount, isTexts, parseObject } from './json-payload.ts';
import type { LinkHalf } from './pipe-link.ts';

export interface TerminalSize {
  readonly cols: number;
  readonly rows: number;
}

export interface Terminal extends TerminalSize {
  readonly term: string;
}

export interface Start {
  readonly token: string;
  /** The client's terminal, if its stdin is one. */
  readonly tty?: Terminal;
  /** false: a service at its limit answers ERROR, to be asked again, instead of WAITING. */
  readonly wait?: boolean;
  /** true: STARTED comes when the program has its place, and the program is started when GO comes, which the client sends last. */
  readonly go?: boolean;
  /** What a protocol daemon is to open. */
  readonly uri?: string;
}

/** How a program ended. `out`: of a stage, how many bytes of output have gone over its link. */
export type Exit = ({ readonly code: number } | { readonly signal: string }) & { readonly out?: number };

export interface Info {
  /** Where an import comes from. */
  readonly origin?: string;
  /** The pin of the key that the host of an import has proved to have. */
  readonly peer?: string;
  /** When the service began, in milliseconds since 1970. */
  readonly since: number;
  readonly running: number;
  readonly waiting: number;
  readonly max: number;
  readonly tty: boolean;
  /** It takes connections of TCP themselves as the data connections of its sessions (sep(5), Passed connections). */
  readonly direct?: true;
  /** The version of the pipes that it may be a stage of; it may not unless given (sep(5), Stages). */
  readonly pipe?: number;
  /** The names of the only programs that it runs as stages; any unless given. */
  readonly only?: readonly string[];
  /** The process that serves, and the command that it runs; only of services of this host. */
  readonly pid?: number;
  readonly command?: string;
}

export const controlPreface = 'SEP/1 CONTROL\n';
const maxPrefaceBytes = 64;

/** The signals that a client may send (RFC 4254, section 6.9). */
export const signalNames = ['INT', 'TERM', 'HUP', 'QUIT', 'USR1', 'USR2'] as const;
export type SignalName = (typeof signalNames)[number];

export function dataPreface(token: string): string {
  return `SEP/1 DATA ${token}\n`;
}

/** The preface of a connection over which the data connection of a session is passed (sep(5), Passed connections). */
export function passPreface(token: string): string {
  return `SEP/1 PASS ${token}\n`;
}

/** The preface of a connection that is the input of a stage, or takes its output; TLS comes behind it where the link has a key. */
export function linkPreface(half: LinkHalf, token: string, isKeyed = false): string {
  return `SEP/1 ${half.toUpperCase()} ${token}${isKeyed ? ' KEY' : ''}\n`;
}

/** The line that begins a connection to a control socket. `rest` is what came behind it. */
export type Preface =
  | { readonly kind: 'control'; readonly rest: Buffer }
  | { readonly kind: 'data'; readonly token: string; readonly rest: Buffer }
  | { readonly kind: 'pass'; readonly token: string; readonly rest: Buffer }
  | { readonly kind: LinkHalf; readonly token: string; readonly isKeyed: boolean; readonly rest: Buffer };

/** Reads a preface; undefined: not complete yet; 'broken': no preface will come of this. */
export function parsePreface(bytes: Buffer): Preface | 'broken' | undefined {
  const end = bytes.indexOf(0x0a);
  if (end < 0) return bytes.length > maxPrefaceBytes || !mayBegin(bytes) ? 'broken' : undefined;
  const line = bytes.toString('latin1', 0, end + 1);
  const rest = bytes.subarray(end + 1);
  if (line === controlPreface) return { kind: 'control', rest };
  const [, word, token, key] = /^SEP\/1 (DATA|PASS|IN|OUT) ([0-9a-f]{32})( KEY)?\n$/.exec(line) ?? [];
  if (word === undefined || token === undefined) return 'broken';
  if (word === 'IN' || word === 'OUT') return { kind: word.toLowerCase() as LinkHalf, token, isKeyed: key !== undefined, rest };
  if (key !== undefined) return 'broken';
  return { kind: word === 'DATA' ? 'data' : 'pass', token, rest };
}

/** `status 3` or `signal TERM`. */
export function formatExit(exit: Exit): string {
  return 'code' in exit ? `status ${exit.code}` : `signal ${exit.signal}`;
}

/** Payload of START; undefined where it is not valid. Unknown keys are ignored. */
export function parseStart(payload: Buffer): Start | undefined {
  const value = parseObject(payload);
  if (!value || typeof value['token'] !== 'string' || !/^[0-9a-f]{32}$/.test(value['token'])) return undefined;
  const tty = value['tty'] === undefined ? undefined : terminalOf(value['tty']);
  const wait = value['wait'] === false ? false : undefined;
  const uri = typeof value['uri'] === 'string' ? value['uri'] : undefined;
  const more = { ...(wait === false && { wait }), ...(value['go'] === true && { go: true }), ...(uri !== undefined && { uri }) };
  return { token: value['token'], ...(tty && { tty }), ...more };
}

export function parseStarted(payload: Buffer): { tty: boolean } | undefined {
  const value = parseObject(payload);
  return value && { tty: value['tty'] === true };
}

export function parseExit(payload: Buffer): Exit | undefined {
  const value = parseObject(payload);
  const { code, signal, out } = value ?? {};
  const more = isCount(out) ? { out } : {};
  if (isCount(code, 255)) return { code, ...more };
  return typeof signal === 'string' && /^[A-Z][A-Z0-9+-]{0,15}$/.test(signal) ? { signal, ...more } : undefined;
}

export function parseWaiting(payload: Buffer): { ahead: number } | undefined {
  const ahead = parseObject(payload)?.['ahead'];
  return isCount(ahead) ? { ahead } : undefined;
}

export function parseInfo(payload: Buffer): Info | undefined {
  const value = parseObject(payload);
  if (!value) return undefined;
  const { origin, peer, since, running, waiting, max, tty, direct, pipe, only, pid, command } = value;
  if (!isCount(since) || !isCount(running) || !isCount(waiting) || !isCount(max)) return undefined;
  const from = { ...(typeof origin === 'string' && { origin }), ...(typeof peer === 'string' && { peer }) };
  const own = { ...(isCount(pid) && { pid }), ...(typeof command === 'string' && { command }) };
  return {
    ...from,
    since,
    running,
    waiting,
    max,
    tty: tty === true,
    ...(direct === true && { direct }),
    ...(isCount(pipe) && { pipe }),
    ...(isTexts(only) && { only }),
    ...own,
  };
}

export function parseSignal(payload: Buffer): SignalName | undefined {
  const text = payload.toString('latin1');
  return signalNames.find((name) => name === text);
}

export function parseSize(payload: Buffer): TerminalSize | undefined {
  return sizeOf(parseObject(payload));
}

function mayBegin(bytes: Buffer): boolean {
  const text = bytes.toString('latin1');
  if (controlPreface.startsWith(text)) return true;
  return ['DATA', 'IN', 'OUT'].map((word) => `SEP/1 ${word} `).some((start) => start.startsWith(text.slice(0, start.length)));
}

function terminalOf(value: unknown): Terminal | undefined {
  const size = sizeOf(value as Record<string, unknown>);
  const term = (value as Record<string, unknown> | null)?.['term'];
  return size && { ...size, term: typeof term === 'string' && /^[\w.+-]{1,64}$/.test(term) ? term : 'dumb' };
}

function sizeOf(value: Record<string, unknown> | undefined): TerminalSize | undefined {
  const cols = value?.['cols'];
  const rows = value?.['rows'];
  if (!isCount(cols, 65_535) || !isCount(rows, 65_535)) return undefined;
  return cols > 0 && rows > 0 ? { cols, rows } : undefined;
}
