/** What a stage of a pipeline and its client say to each other: the payloads of frames 13 to 20 (sep(5), Stages). */
import { isCount, isTexts, parseObject } from './json-payload.ts';

/** What its input comes over, and its output goes over. */
export type LinkHalf = 'in' | 'out';

/** How streams of objects are written. */
export type ObjectFormat = 'json' | 'yaml';

/** Where the input of a stage comes from. */
export interface LinkOrigin {
  /** The address or name of a host. */
  readonly addr: string;
  /** Null where it is reached by none. */
  readonly port: number | null;
}

/** Asks a service to be a stage; nothing runs yet. */
export interface Prepare {
  /** 32 hexadecimal digits, the same for all stages. */
  readonly pipe: string;
  /** From 1 to `stages`. */
  readonly stage: number;
  readonly stages: number;
  /** What is to run, where the service is not one command of its own: for its shell, and as words where it is no more than these. */
  readonly command?: string;
  readonly argv?: readonly string[];
  /** Its stderr is a part of its output, and not told. */
  readonly stderr?: 'stdout';
  /** How often its client wants to be told how far it is, in milliseconds. */
  readonly flowMs?: number;
  /** What must hold, or nothing runs. */
  readonly need?: Readonly<Record<string, unknown>>;
  /** How it is to run; a service ignores what it does not take. */
  readonly options?: Readonly<Record<string, string>>;
  /** Its input and output are objects, to which metadata is given; bytes unless given. */
  readonly format?: ObjectFormat;
  /** The host of its client, as that calls itself. */
  readonly client?: string;
}

/** A stage may run, and has a place. */
export interface Prepared {
  readonly version: number;
  readonly host: string;
  readonly service: string;
  readonly running: number;
  readonly max: number;
  /** The options that it does not take. */
  readonly ignored?: readonly string[];
  /** 32 hexadecimal digits, those of its process, and its path: by this others of the same process call it. */
  readonly same?: string;
  readonly path?: string;
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

/** Which extension of the control socket a service with `"pipe":1` in its INFO speaks. */
export const pipeVersion = 1;
/** The most stages of a pipeline. */
export const maxStages = 64;
export const objectFormats: readonly ObjectFormat[] = ['json', 'yaml'];
/** The options of a stage that are about its objects. */
export const objectOptions: readonly string[] = [
  'roots',
  'validate',
  'max-object',
  'metadata',
  'metadata-name',
  'metadata-prefix',
  'metadata-out',
];
const leastFlowMs = 100;
const maxOptions = 64;
const maxHostBytes = 255;

/** Reads PREPARE; undefined: not valid. Unknown keys are ignored. */
export function parsePrepare(payload: Buffer): Prepare | undefined {
  const value = parseObject(payload);
  const { pipe, stage, stages, command, argv, stderr, flowMs, need, options, format, client } = value ?? {};
  if (!isToken(pipe) || !isCount(stages, maxStages) || !isCount(stage, stages) || stage < 1) return undefined;
  if (command !== undefined && typeof command !== 'string') return undefined;
  if (need !== undefined && !isObject(need)) return undefined;
  if (argv !== undefined && !isTexts(argv)) return undefined;
  if (flowMs !== undefined && !isCount(flowMs)) return undefined;
  if (options !== undefined && !isOptions(options)) return undefined;
  if (format !== undefined && !isFormat(format)) return undefined;
  if (client !== undefined && !isHostText(client)) return undefined;
  const told: Pick<Prepare, 'command' | 'argv' | 'stderr' | 'flowMs'> = {
    ...(command !== undefined && { command }),
    ...(argv && { argv }),
    ...(stderr === 'stdout' && { stderr: 'stdout' }),
    ...(flowMs !== undefined && { flowMs: Math.max(flowMs, leastFlowMs) }),
  };
  const objects = { ...(format !== undefined && { format }), ...(client !== undefined && { client }) };
  return { pipe, stage, stages, ...told, ...(need && { need }), ...(options && { options }), ...objects };
}

/** Reads PREPARED; undefined: not valid. */
export function parsePrepared(payload: Buffer): Prepared | undefined {
  const { version, host, service, running, max, ignored, same, path } = parseObject(payload) ?? {};
  if (!isCount(version) || typeof host !== 'string' || typeof service !== 'string' || !isCount(running) || !isCount(max)) return undefined;
  const own = isToken(same) && typeof path === 'string' && path.startsWith('/') ? { same, path } : {};
  return { version, host, service, running, max, ...(isTexts(ignored) && { ignored }), ...own };
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

export function formatPipePayload(value: Prepare | Prepared | Link | Linked | InputEnd | InputEnded | OutputEnded | StageFlow): string {
  return JSON.stringify(value);
}

function isHalf(value: unknown): value is LinkHalf {
  return value === 'in' || value === 'out';
}

function isFormat(value: unknown): value is ObjectFormat {
  return objectFormats.some((one) => one === value);
}

function isOrigin(value: unknown): value is LinkOrigin {
  return isObject(value) && isHostText(value['addr']) && (value['port'] === null || isCount(value['port'], 65_535));
}

// It goes into the environment of programs.
function isHostText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= maxHostBytes && /^[^\0-\x20\x7f]+$/.test(value);
}

function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function isOptions(value: unknown): value is Record<string, string> {
  if (!isObject(value) || Object.keys(value).length > maxOptions) return false;
  return Object.entries(value).every(([name, one]) => isStageOption(name) && typeof one === 'string' && !one.includes('\0'));
}

/** Whether an option of a stage can be called so: `nice`, `env:LANG`. */
export function isStageOption(name: string): boolean {
  return /^[a-z][a-z0-9-]*(?::[A-Za-z_]\w*)?$/.test(name);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
