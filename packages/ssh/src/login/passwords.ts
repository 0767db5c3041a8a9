import type { KeyboardPrompt } from 'ssh2-streams/lib/ssh.js';
import { Failure } from '@dipus/proto/failure';
import { formatTarget } from '../settings/target.ts';
import type { Heard } from '../connection/connection.ts';
import { resultOf, type TrialResult, type Trial } from './trial.ts';

/** Asks for the password on the terminal, as often as the settings allow. Rejects with Failure when the connection ends. */
export async function tryPassword(trial: Trial): Promise<TrialResult> {
  const { connection, config, prompter } = trial;
  if (!prompter) return 'refused';
  trial.tried.push('password');
  return repeatedly(trial, async () => {
    const password = await prompter.secret(`Password of ${config.user} on ${config.host}: `, connection.over);
    const heard = connection.hear(['USERAUTH_SUCCESS', 'USERAUTH_FAILURE', 'USERAUTH_PASSWD_CHANGEREQ']);
    connection.stream.authPassword(config.user, password);
    const answer = await heard;
    if (answer.event !== 'USERAUTH_PASSWD_CHANGEREQ') return resultOf(trial, answer);
    throw new Failure('log in to', formatTarget(config.target), 'the password has expired').withHint('change it by logging in with ssh');
  });
}

/** Has the server's questions answered on the terminal, as often as the settings allow. Rejects with Failure when the connection ends. */
export async function tryKeyboard(trial: Trial): Promise<TrialResult> {
  if (!trial.prompter) return 'refused';
  trial.tried.push('keyboard-interactive');
  return repeatedly(trial, () => answerQuestions(trial));
}

async function repeatedly(trial: Trial, once: () => Promise<TrialResult | undefined>): Promise<TrialResult> {
  for (let count = 0; count < trial.config.auth.promptCount; count++) {
    const result = await once();
    if (result !== 'refused') return result ?? 'refused';
    trial.prompter?.tell('Permission denied.');
  }
  return 'refused';
}

/** One round of RFC 4256: questions until the server has made up its mind; undefined where it refuses without a question. */
async function answerQuestions(trial: Trial): Promise<TrialResult | undefined> {
  const { stream } = trial.connection;
  const hear = (): Promise<Heard> => trial.connection.hear(['USERAUTH_INFO_REQUEST', 'USERAUTH_SUCCESS', 'USERAUTH_FAILURE']);
  let next = hear();
  stream.authKeyboard(trial.config.user);
  for (let asked = 0; ;) {
    const heard = await next;
    if (heard.event !== 'USERAUTH_INFO_REQUEST') {
      const result = resultOf(trial, heard);
      return result === 'refused' && asked === 0 ? undefined : result;
    }
    const [name, instruction, , questions] = heard.values as [string, string, string, KeyboardPrompt[]];
    asked += questions.length;
    const answers = await askQuestions(trial, [name, instruction], questions);
    next = hear();
    stream.authInfoRes(answers);
  }
}

async function askQuestions(trial: Trial, heading: readonly string[], questions: readonly KeyboardPrompt[]): Promise<string[]> {
  const prompter = trial.prompter!;
  const { over } = trial.connection;
  for (const line of heading.filter((each) => each !== '')) prompter.tell(line);
  const answers: string[] = [];
  for (const { prompt, echo } of questions) {
    const asked = `(${trial.config.user}@${trial.config.host}) ${prompt}`;
    answers.push(await (echo ? prompter.answer(asked, over) : prompter.secret(asked, over)));
  }
  return answers;
}
