// What a client wants to be sure of before anything runs.
import { statSync } from 'node:fs';
import { objectFormats, type Prepare } from '@dipus/proto/pipe';
import { printable } from '@dipus/proto/printable';
import { isInRange, parseRange, versionIn } from '@dipus/proto/version';
import { timing } from '@dipus/proto/timing';
import { runFile } from '@dipus/programs/start-process';

/** What this service can say of itself and of what it is asked to run. */
export interface Having {
  readonly dpipesd: string;
  readonly user: string;
  /** The options that it takes from this client. */
  readonly accepted: Readonly<Record<string, string>>;
  /** The version of the program; undefined where there is none that could be asked. */
  application(): Promise<string | undefined>;
}

/** Why a need is not met; undefined: all are. */
export async function whyNotMet(need: NonNullable<Prepare['need']>, having: Having): Promise<string | undefined> {
  for (const [what, wanted] of Object.entries(need)) {
    const why = await whyNot(what, wanted, having);
    if (why !== undefined) return why;
  }
  return undefined;
}

async function whyNot(what: string, wanted: unknown, { dpipesd, user, accepted, application }: Having): Promise<string | undefined> {
  if (what === 'dpipesd') return whyNotIn('dpipesd', dpipesd, wanted);
  if (what === 'application') return whyNotIn('the program', await application(), wanted);
  if (what === 'user') return wanted === user ? undefined : `it runs as ${user}, not as ${shown(wanted)}`;
  if (what === 'format') return whyNoFormat(wanted);
  if (what !== 'options' || !Array.isArray(wanted)) return `it cannot promise what is needed: ${printable(what)}`;
  const refused = wanted.find((name) => !(String(name) in accepted));
  return refused === undefined ? undefined : `it does not take the option ${shown(refused)}`;
}

function whyNoFormat(wanted: unknown): string | undefined {
  const formats: readonly unknown[] = Array.isArray(wanted) ? wanted : [wanted];
  const refused = formats.find((one) => !objectFormats.some((format) => format === one));
  return refused === undefined ? undefined : `it takes no objects written as ${shown(refused)}`;
}

function whyNotIn(what: string, version: string | undefined, wanted: unknown): string | undefined {
  const range = typeof wanted === 'string' ? parseRange(wanted) : undefined;
  if (!range) return `no version is ${shown(wanted)}`;
  if (version === undefined) return `${what} does not say its version, and ${shown(wanted)} is needed`;
  return isInRange(version, range) ? undefined : `${what} is of version ${version}, and ${shown(wanted)} is needed`;
}

function shown(value: unknown): string {
  return printable(String(value));
}

const asked = new Map<string, Promise<string | undefined>>();

/** What a program says to --version, asked once for as long as its file stays the same. */
export function versionOf(path: string): Promise<string | undefined> {
  const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
  const key = `${path} ${mtimeMs}`;
  let version = asked.get(key);
  if (!version) {
    const asking = runFile(path, ['--version'], { cwd: '/', timeout: timing.authMs, killSignal: 'SIGKILL', maxBuffer: 1 << 20 });
    version = asking.then(({ stdout }) => versionIn(stdout)).catch(() => undefined);
    asked.set(key, version);
  }
  return version;
}
