/** The connections of a stage, and what is on its way over them: the payloads of frames 15 to 20 (sep(5), Stages). */
import { isCount, isObject, isTexts, parseObject } from './json-payload.ts';
import { isHostText, isToken } from './pipe.ts';

/** What its input comes over, and its output goes over. */
export type LinkHalf = 'in' | 'out';

/** Where the input of a stage comes from. */
export interface LinkOrigin {
  /** The address or name of a host. */
  readonly addr: string;
  /** Null where it is reached by none. */
  readonly port: number | null;
}

/** Tells a stage to wait for one of its two connections, or to make it. */
export interface Link {
  readonly half: LinkHalf;
  /** What the connection shows: good once, for timing.linkMs. */
  readonly token: string;
  /** URIs of the service at the other end: the first that answers is called. Without them the stage waits to be called. */
  readonly to?: readonly string[];
  /** 64 hexadecimal digits, by which both ends know each other: the link is encrypted. */
  readonly key?: string;
  /** It waits at a port of its own, which wants a key. */
  readonly listen?: boolean;
  /** Of an input: who writes to it. */
  readonly from?: LinkOrigin;
}

/** One of its connections is there, or is not to be had. */
export interface Linked {
  readonly half: LinkHalf;
  /** Who was called. */
  readonly via?: string;
  /** It waits here, `ADDR:PORT`; another LINKED follows. */
  readonly listening?: readonly string[];
  readonly error?: string;
}

/** How many bytes an input has, of which the end is then a true end. */
export interface InputEnd {
  readonly bytes: number;
}

/** The input has ended after so many bytes, and waits for END; or has broken off, so that none may come. */
export type InputEnded = { readonly half: 'in' } & ({ readonly bytes: number } | { readonly error: string });

/** All of the output has gone over its link, though the program may go on. */
export interface OutputEnded {
  readonly half: 'out';
  readonly bytes: number;
}

/** How far a stage is: what has come in and gone out, as far as that is known, and what it waits for. */
export interface StageFlow {
  readonly in?: number;
  readonly out?: number;
  readonly waits: 'input' | 'output' | 'program';
}

/** Reads LINK; undefined: not valid. */
export function parseLink(payload: Buffer): Link | undefined {
  const { half, token, to, key, listen, from } = parseObject(payload) ?? {};
  if (!isHalf(half) || !isToken(token)) return undefined;
  if (to !== undefined && !isTexts(to)) return undefined;
  if (key !== undefined && !isKey(key)) return undefined;
  // Whoever reaches a port has shown nothing else.
  if (listen === true && (key === undefined || to)) return undefined;
  if (from !== undefined && !isOrigin(from)) return undefined;
  const origin = from && { from: { addr: from.addr, port: from.port } };
  return { half, token, ...(to && { to }), ...(key !== undefined && { key }), ...(listen === true && { listen }), ...origin };
}

/** Reads LINKED; undefined: not valid. */
export function parseLinked(payload: Buffer): Linked | undefined {
  const { half, via, listening, error } = parseObject(payload) ?? {};
  if (!isHalf(half)) return undefined;
  const told = { ...(typeof via === 'string' && { via }), ...(isTexts(listening) && { listening }) };
  return { half, ...told, ...(typeof error === 'string' && { error }) };
}

/** Reads END; undefined: not valid. */
export function parseInputEnd(payload: Buffer): InputEnd | undefined {
  const { bytes } = parseObject(payload) ?? {};
  return isCount(bytes) ? { bytes } : undefined;
}

/** Reads ENDED; undefined: not valid. */
export function parseEnded(payload: Buffer): InputEnded | OutputEnded | undefined {
  const { half, bytes, error } = parseObject(payload) ?? {};
  if (!isHalf(half)) return undefined;
  if (typeof error === 'string' && half === 'in') return { half, error };
  if (!isCount(bytes)) return undefined;
  return half === 'in' ? { half, bytes } : { half, bytes };
}

/** Reads FLOW; undefined: not valid. */
export function parseFlow(payload: Buffer): StageFlow | undefined {
  const { in: came, out, waits } = parseObject(payload) ?? {};
  if (waits !== 'input' && waits !== 'output' && waits !== 'program') return undefined;
  return { ...(isCount(came) && { in: came }), ...(isCount(out) && { out }), waits };
}

function isHalf(value: unknown): value is LinkHalf {
  return value === 'in' || value === 'out';
}

function isOrigin(value: unknown): value is LinkOrigin {
  return isObject(value) && isHostText(value['addr']) && (value['port'] === null || isCount(value['port'], 65_535));
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}
