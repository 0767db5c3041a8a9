// The words by which a stage is run.
import { statSync } from 'node:fs';
import { homedir } from 'node:os';
import { isFound, wordsWithLimitOfUser } from '@dipus/cli/start';
import { reasonOf } from '@dipus/proto/failure';
import { printable } from '@dipus/proto/printable';
import type { Words } from '@dipus/programs/program';
import { runFile } from '@dipus/programs/start-process';
import type { StageSettings } from './stage-options.ts';
import { NotToRun, type Chosen } from './what-runs.ts';

/** Rejects with NotToRun where the shell cannot read the command; it has the last word on its syntax. */
export async function wordsOf(chosen: Chosen, settings: StageSettings): Promise<Words> {
  if ('argv' in chosen) {
    const environment = { ...fewVariables(), ...settings.environment };
    const directory = settings.directory ?? chosen.app?.directory ?? home();
    return found({ argv: changed(chosen.argv, settings, environment), environment, directory });
  }
  const { shell = '/bin/sh' } = settings;
  await runFile(shell, ['-n', '-c', chosen.command]).catch((error: unknown) => {
    throw new NotToRun(`${printable(shell)} cannot read it: ${reasonOf(error)}`);
  });
  const environment = { ...process.env, ...settings.environment };
  return found({
    argv: changed([shell, '-c', chosen.command], settings, environment),
    environment,
    directory: settings.directory ?? home(),
  });
}

function found(words: Words): Words {
  return { ...words, isFound: isFound(words.argv[0], words.environment['PATH']) };
}

/** The same words behind programs that change how they run, where something is to be changed. */
function changed(
  argv: readonly [string, ...string[]],
  { nice, umask }: StageSettings,
  { PATH }: NodeJS.ProcessEnv,
): readonly [string, ...string[]] {
  const limited = wordsWithLimitOfUser(argv, PATH);
  const nicer: readonly [string, ...string[]] = nice === undefined ? limited : ['nice', '-n', nice, ...limited];
  return umask === undefined ? nicer : ['/bin/sh', '-c', 'umask "$0" && exec "$@"', umask, ...nicer];
}

/** As at a login: / where there is no home. */
function home(): string {
  try {
    return statSync(homedir()).isDirectory() ? homedir() : '/';
  } catch {
    return '/';
  }
}

// A client has no say in these, and what this process was started with is nobody's business.
function fewVariables(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])));
}
