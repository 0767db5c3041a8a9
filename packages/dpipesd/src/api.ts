// What a dpipesd tells of itself, and what may be done to it, by HTTP: dpipesd(1), The API.
import { userName } from '@dipus/tree/accounts';
import { printable } from '@dipus/proto/printable';
import { formatMetrics, type Counted } from './metrics.ts';
import type { TellNodes } from './known-nodes.ts';
import type { SeenStage } from './seen-stages.ts';

/** What it tells of. */
export interface ApiSubject extends Counted {
  /** What may run: any command, or programs of these names. */
  readonly mayRun: 'any' | readonly string[];
  readonly settings: readonly { readonly name: string; readonly value?: string; readonly origin: string }[];
  readonly tellNodes: TellNodes;
  /** Ends a program: TERM, then KILL. */
  endProgram(pid: number): void;
}

/** Whoever asks, as far as that is known. */
export interface ApiCaller {
  readonly by: 'unix' | 'exporter';
  readonly uid?: number;
  /** Why it may only look; undefined: it may do all that is done here. */
  readonly readsOnly?: string;
}

export interface ApiRequest {
  readonly method: string;
  /** Behind /.dpipesd, without the query. */
  readonly path: string;
  readonly caller: ApiCaller;
}

/** A value for JSON, or a text. */
export type ApiAnswer =
  | { readonly status: number; readonly value: unknown; readonly allow?: string }
  | { readonly status: number; readonly text: string; readonly type: string };

/** Answers a request, and does what it asks for. Never rejects. */
export async function answerApi(subject: ApiSubject, { method, path, caller }: ApiRequest): Promise<ApiAnswer> {
  const [, what = '', pipe, ...more] = path.replace(/\/$/, '').split('/');
  const isPipe = what === 'pipes' && pipe !== undefined && more.length === 0;
  if (isPipe && method === 'DELETE') return mayNot(caller) ?? endPipe(subject, pipe);
  if (isPipe) return onlyRead(method, 'GET, HEAD, DELETE') ?? tellPipe(subject, pipe);
  if (pipe !== undefined) return unknown(path);
  if (what === 'drain' && (method === 'PUT' || method === 'DELETE')) return mayNot(caller) ?? drain(subject, method === 'PUT');
  const tell = tellers[what];
  if (what !== 'drain' && !tell) return unknown(path);
  return onlyRead(method, what === 'drain' ? 'GET, HEAD, PUT, DELETE' : 'GET, HEAD') ?? (tell ?? tellDrain)(subject, caller);
}

type Tell = (subject: ApiSubject, caller: ApiCaller) => ApiAnswer | Promise<ApiAnswer>;

const tellers: Readonly<Record<string, Tell>> = {
  '': ({ version, host, user, since, places, apps, seen }) => {
    const pipes = pipesOf(seen.list().filter(({ state }) => state !== 'over')).length;
    return ok({ version, host, user, since, running: places.running, max: places.max, pipes, apps: apps.length, drains: places.drains });
  },
  apps: ({ apps, places }) => ok(apps.map((app) => ({ ...app, running: places.runningOf(app) }))),
  pipes: ({ seen }) => ok(pipesOf(seen.list())),
  nodes: async ({ tellNodes }) => ok(await tellNodes()),
  config: ({ settings }) => ok(settings.map(({ name, value, origin }) => ({ name, ...(value !== undefined && { value }), origin }))),
  auth: ({ user, mayRun }, { by, uid, readsOnly }) =>
    ok({
      by,
      ...(uid !== undefined && { uid, user: userName(uid) }),
      runsAs: user,
      mayRun,
      mayChange: readsOnly === undefined,
    }),
  metrics: (subject) => ({
    status: 200,
    text: formatMetrics(subject),
    type: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
  }),
};

function tellDrain({ places: { drains, running } }: ApiSubject): ApiAnswer {
  return ok({ drains, running });
}

function drain(subject: ApiSubject, drains: boolean): ApiAnswer {
  subject.places.drains = drains;
  return tellDrain(subject);
}

function tellPipe({ seen }: ApiSubject, id: string): ApiAnswer {
  const [pipe] = pipesOf(seen.list().filter((stage) => stage.pipe === id));
  return pipe ? ok(pipe) : refusal(404, `no pipeline ${printable(id)} has been seen`);
}

/** Ends the programs of its stages that run here. What they have sent is then no whole output. */
function endPipe({ seen, endProgram }: ApiSubject, id: string): ApiAnswer {
  const stages = seen.list().filter(({ pipe }) => pipe === id);
  if (stages.length === 0) return refusal(404, `no pipeline ${printable(id)} has been seen`);
  const pids = stages.flatMap(({ state, pid }) => (state === 'running' && pid !== undefined ? [pid] : []));
  if (pids.length === 0) return refusal(409, 'no program of it runs here');
  pids.forEach(endProgram);
  return { status: 202, value: { ending: pids } };
}

function pipesOf(stages: readonly SeenStage[]): { id: string; stages: Omit<SeenStage, 'pipe'>[] }[] {
  const pipes = new Map<string, Omit<SeenStage, 'pipe'>[]>();
  for (const { pipe, ...stage } of stages) pipes.set(pipe, [...(pipes.get(pipe) ?? []), stage]);
  return [...pipes].map(([id, all]) => ({ id, stages: all }));
}

function onlyRead(method: string, allow: string): ApiAnswer | undefined {
  return method === 'GET' || method === 'HEAD' ? undefined : { ...refusal(405, `only ${allow} are known here`), allow };
}

function mayNot({ readsOnly }: ApiCaller): ApiAnswer | undefined {
  return readsOnly === undefined ? undefined : refusal(403, readsOnly);
}

function unknown(path: string): ApiAnswer {
  return refusal(404, `there is no ${printable(path)}: see / apps pipes nodes config auth metrics drain`);
}

function ok(value: unknown): ApiAnswer {
  return { status: 200, value };
}

function refusal(status: number, error: string): { readonly status: number; readonly value: unknown } {
  return { status, value: { error } };
}
