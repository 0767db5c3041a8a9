/** What a stage of a pipeline and its client say to each other: payloads of frames 13 to 20 (sep(5), Stages). Links: pipe-link.ts. */
import { isCount, isObject, isTexts, parseObject } from './json-payload.ts';

/** How streams of objects are written. */
export type ObjectFormat = 'json' | 'yaml';

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

function isFormat(value: unknown): value is ObjectFormat {
  return objectFormats.some((one) => one === value);
}

/** Whether a text may be a host's name in the environment of programs. */
export function isHostText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= maxHostBytes && /^[^\0-\x20\x7f]+$/.test(value);
}

/** Whether it is what a pipeline, a process or a link is known by: 32 hexadecimal digits. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

function isOptions(value: unknown): value is Record<string, string> {
  if (!isObject(value) || Object.keys(value).length > maxOptions) return false;
  return Object.entries(value).every(([name, one]) => isStageOption(name) && typeof one === 'string' && !one.includes('\0'));
}

/** Whether an option of a stage can be called so: `nice`, `env:LANG`. */
export function isStageOption(name: string): boolean {
  return /^[a-z][a-z0-9-]*(?::[A-Za-z_]\w*)?$/.test(name);
}
