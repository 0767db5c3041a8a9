// What a stage and its client agree on before anything runs.
import { once } from 'node:events';
import type { ObjectSettings } from '@dipus/objects/settings';
import { reasonOf } from '@dipus/proto/failure';
import { formatPayload } from '@dipus/proto/json-payload';
import { objectOptions, type Prepare } from '@dipus/proto/pipe';
import { timing } from '@dipus/proto/timing';
import type { Words } from '@dipus/programs/program';
import { startProcess } from '@dipus/programs/start-process';
import type { App } from './app.ts';
import { findProgram } from './find-program.ts';
import { versionOf, whyNotMet } from './needs.ts';
import { readStageOptions, type Accepts } from './stage-options.ts';
import { wordsOf } from './stage-words.ts';
import { NotToRun, type Chosen, type WhatRuns } from './what-runs.ts';

declare const DIPUS_VERSION: string;

/** On what terms stages run here. */
export interface Terms {
  readonly accepts: Accepts;
  /** Options for objects, where a client does not say them. */
  readonly objectOptions: Readonly<Record<string, string>>;
  /** Whose name it runs as. */
  readonly user: string;
  /** A program that says who may run what. */
  readonly authCommand?: readonly [string, ...string[]];
}

export interface Agreement {
  readonly words: Words;
  readonly app?: App;
  /** The options of the client that change nothing. */
  readonly ignored: readonly string[];
  /** What is done to its objects, where it has some. */
  readonly objects?: ObjectSettings;
  /** After this time the stage is killed. */
  readonly maxMs?: number;
}

/** What is agreed on for a stage of a service. Rejects with NotToRun; whoever has no rights is told nothing else. */
export async function agree(prepare: Prepare, service: string, { whatRuns, ...terms }: Terms & { whatRuns: WhatRuns }): Promise<Agreement> {
  if (terms.authCommand && !(await mayRun(terms.authCommand, prepare, service))) throw new NotToRun('it is not allowed here');
  const chosen = whatRuns(prepare);
  const asked = Object.entries(prepare.options ?? {});
  const means = (name: string): boolean => {
    if (objectOptions.includes(name)) return prepare.format !== undefined;
    return name !== 'shell' || 'command' in chosen;
  };
  const isTaken = (name: string): boolean => terms.accepts(name) && means(name);
  const accepted = Object.fromEntries(asked.filter(([name]) => isTaken(name)));
  const settings = readStageOptions(accepted);
  const application = (): Promise<string | undefined> => versionOfChosen(chosen, prepare);
  const why = await whyNotMet(prepare.need ?? {}, { dpipesd: DIPUS_VERSION, user: terms.user, accepted, application });
  if (why !== undefined) throw new NotToRun(why);
  const objects = await readObjects(prepare, { ...terms.objectOptions, ...accepted });
  return {
    words: await wordsOf(chosen, settings),
    ...('argv' in chosen && chosen.app && { app: chosen.app }),
    ignored: asked.flatMap(([name]) => (isTaken(name) ? [] : [name])),
    ...(objects && { objects }),
    ...(settings.maxMs !== undefined && { maxMs: settings.maxMs }),
  };
}

async function readObjects({ format }: Prepare, options: Readonly<Record<string, string>>): Promise<ObjectSettings | undefined> {
  if (format === undefined) return undefined;
  const { readObjectSettings } = await import('@dipus/objects/settings');
  try {
    return readObjectSettings(format, options);
  } catch (error) {
    throw new NotToRun(reasonOf(error));
  }
}

async function versionOfChosen(chosen: Chosen, { argv }: Prepare): Promise<string | undefined> {
  if ('argv' in chosen && chosen.app?.version !== undefined) return chosen.app.version;
  const name = 'argv' in chosen ? chosen.argv[0] : argv?.[0];
  const program = name === undefined ? undefined : findProgram(name, process.env['PATH'] ?? '');
  return program && versionOf(program);
}

/** Whether the program, which reads PREPARE as JSON, ends with 0 in time. Where it cannot be asked nobody may. */
async function mayRun(argv: readonly [string, ...string[]], prepare: Prepare, service: string): Promise<boolean> {
  const [program, ...args] = argv;
  const child = startProcess(program, args, {
    stdio: ['pipe', 'ignore', 'inherit'],
    cwd: '/',
    timeout: timing.authMs,
    killSignal: 'SIGKILL',
  });
  child.stdin!.on('error', () => {}).end(`${formatPayload({ ...prepare, service })}\n`);
  const [code] = await once(child, 'exit').catch(() => [127]);
  return code === 0;
}
