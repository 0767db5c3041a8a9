import { Failure } from '@dipus/proto/failure';
import type { Connection } from '../connection/connection.ts';
import { tryKeys } from './keys.ts';
import type { LoginOptions } from './login-options.ts';
import { tryKeyboard, tryPassword } from './passwords.ts';
import type { AuthMethod, SshConfig } from '../settings/ssh-config.ts';
import { formatTarget, wayOut } from '../settings/target.ts';
import { attempt, type TrialResult, type Trial } from './trial.ts';

/** Authenticates the user: by keys, then by what a person types. Rejects with Failure, which says what was tried. */
export async function authenticate(connection: Connection, config: SshConfig, options: LoginOptions): Promise<void> {
  const prompter = config.auth.isBatch ? undefined : options.prompter;
  const explain = (line: string): void => options.explain(line);
  const trial: Trial = { connection, config, prompter, explain, methods: [], tried: [], skipped: new Map() };
  const tell = (line: string): void => (prompter ? prompter.tell(line) : explain(line));
  connection.stream.on('USERAUTH_BANNER', (text: string) => text.trimEnd().split(/\r?\n/).forEach(tell));
  connection.verb = 'log in to';
  const accepted = connection.hear(['SERVICE_ACCEPT']);
  connection.stream.service('ssh-userauth');
  await accepted;
  let result = await attempt(trial, () => connection.stream.authNone(config.user));
  const used = new Set<string>();
  // After a part that was right the server wants another method, or another key.
  for (let isOpen = true; result !== 'done' && isOpen;) {
    result = await tryMethods(trial, used);
    isOpen = result === 'partial';
  }
  if (result !== 'done') throw refusal(trial);
}

async function tryMethods(trial: Trial, used: Set<string>): Promise<TrialResult> {
  const ways: [AuthMethod, () => Promise<TrialResult>][] = [
    ['publickey', () => tryKeys(trial, used)],
    ['keyboard-interactive', () => tryKeyboard(trial)],
    ['password', () => tryPassword(trial)],
  ];
  for (const [method, way] of ways) {
    if (!trial.methods.includes(method) || !trial.config.auth.methods.includes(method)) continue;
    const result = await way();
    if (result !== 'refused') return result;
  }
  return 'refused';
}

function refusal({ config, prompter, methods, tried, skipped }: Trial): Failure {
  const failures = [...skipped].map(([label, reason]) => `${label}: ${reason}`);
  const parts = [
    `permission denied for ${config.user}`,
    `the server takes ${methods.join(', ') || 'nothing more'}`,
    `tried ${tried.join(', ') || 'nothing'}`,
    ...(failures.length > 0 ? [`not usable ${failures.join(', ')}`] : []),
  ];
  const isBeyond = failures.some((each) => each.includes('not supported')) || methods.every((method) => beyond.includes(method));
  const hint = isBeyond ? wayOut(config.target) : typingHint(methods, prompter !== undefined);
  return new Failure('log in to', formatTarget(config.target), parts.join('; ')).withHint(hint);
}

function typingHint(methods: readonly string[], mayAsk: boolean): string | undefined {
  const isTyped = methods.some((method) => method === 'password' || method === 'keyboard-interactive');
  return isTyped && !mayAsk ? 'a password can be typed only on a terminal; without one use a key' : undefined;
}

const beyond = ['gssapi-with-mic', 'gssapi-keyex', 'hostbased'];
