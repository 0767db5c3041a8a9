import type { Connection, Heard } from '../connection/connection.ts';
import type { Prompter } from '@dipus/proto/prompter';
import type { SshConfig } from '../settings/ssh-config.ts';

/** What the server made of an attempt. */
export type TrialResult = 'done' | 'refused' | 'partial';

/** A login under way. */
export interface Trial {
  readonly connection: Connection;
  readonly config: SshConfig;
  /** Whom to ask; undefined where nobody is to be asked. */
  readonly prompter: Prompter | undefined;
  explain(line: string): void;
  /** What the server would take next. */
  methods: readonly string[];
  /** What it has been offered, and what could not be. */
  readonly tried: string[];
  readonly skipped: Map<string, string>;
}

/** Says something to the server and waits for what it makes of it. */
export async function attempt(trial: Trial, say: () => unknown): Promise<TrialResult> {
  const heard = trial.connection.hear(['USERAUTH_SUCCESS', 'USERAUTH_FAILURE']);
  say();
  return resultOf(trial, await heard);
}

/** What an answer means for the attempt; remembers what the server would take next. */
export function resultOf(trial: Trial, { event, values }: Heard): TrialResult {
  if (event === 'USERAUTH_SUCCESS') return 'done';
  const [methods, isPartial] = values as [string[], boolean];
  trial.methods = methods;
  return isPartial ? 'partial' : 'refused';
}
