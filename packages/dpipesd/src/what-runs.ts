// What a client's PREPARE may run: any command of its own user's, or no more than what was named at the start.
import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { promisify } from 'node:util';
import { printable } from '@dipus/proto/printable';
import type { Prepare } from '@dipus/proto/pipe';
import type { Words } from '@dipus/programs/program';
import type { App } from './app.ts';

const run = promisify(execFile);
const shell = '/bin/sh';

/** Why a stage may not run; the message is for its client. */
export class NotToRun extends Error {}

/** Decides what a stage runs. Rejects with NotToRun. */
export type WhatRuns = (prepare: Prepare) => Promise<Words>;

/** Whatever the client asks for, by this host's shell, which has the last word on its syntax. */
export const anyCommand: WhatRuns = async (prepare) => {
  const { command = '' } = prepare;
  if (command.trim() === '') throw new NotToRun('no command is named, and it has none of its own');
  await run(shell, ['-n', '-c', command]).catch((error: { stderr?: string }) => {
    throw new NotToRun(`${shell} cannot read it: ${printable(lastLine(error.stderr ?? ''))}`);
  });
  return { argv: [shell, '-c', command], environment: { ...process.env, ...variablesOf(prepare) }, directory: homedir() };
};

/** One program: a client names it, or nothing. */
export function oneCommand(argv: readonly [string, ...string[]]): WhatRuns {
  return async (prepare) => {
    const isSame = prepare.argv?.length === argv.length && prepare.argv.every((word, at) => word === argv[at]);
    if (prepare.command !== undefined && !isSame) throw new NotToRun(`it runs nothing but ${printable(argv.join(' '))}`);
    return { argv, environment: { ...fewVariables(), ...variablesOf(prepare) }, directory: homedir() };
  };
}

/** A program by its name, with the client's arguments where it takes some. */
export function appRuns({ name, program, takesArguments }: App): WhatRuns {
  return async (prepare) => {
    if (prepare.command !== undefined && !prepare.argv) throw new NotToRun(`it is run without a shell, and ${printable(name)} alone`);
    const [word = name, ...args] = prepare.argv ?? [];
    if (word.split('/').at(-1) !== name) throw new NotToRun(`it runs nothing but ${printable(name)}`);
    if (args.length > 0 && !takesArguments) throw new NotToRun(`${printable(name)} takes no arguments here`);
    return { argv: [program, ...args], environment: { ...fewVariables(), ...variablesOf(prepare) }, directory: homedir() };
  };
}

/** The first of several that takes it; why the last one does not. */
export function firstOf(choices: readonly WhatRuns[]): WhatRuns {
  return async (prepare) => {
    let refusal = new NotToRun('it runs nothing');
    for (const choice of choices) {
      try {
        return await choice(prepare);
      } catch (error) {
        if (!(error instanceof NotToRun)) throw error;
        refusal = error;
      }
    }
    throw refusal;
  };
}

function variablesOf({ pipe, stage, stages }: Prepare): NodeJS.ProcessEnv {
  return { DPIPES_ID: pipe, DPIPES_STAGE: String(stage), DPIPES_STAGES: String(stages) };
}

// A client has no say in these, and what this process was started with is nobody's business.
function fewVariables(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
