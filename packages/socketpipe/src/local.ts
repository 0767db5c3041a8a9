import type { StdioOptions } from 'node:child_process';
import type { Job } from './args.ts';
import type { NearOptions } from './attempt.ts';
import { startCommand, type Command, type CommandResult } from './command.ts';
import type { Connection } from './connection.ts';

/** What runs at this end of the connection. */
export interface Local {
  readonly input: Command | undefined;
  readonly output: Command | undefined;
  /** Settles when one of them could not be started. */
  readonly trouble: Promise<CommandResult>;
  /** To be told when the remote command has ended: nobody reads the input any more. */
  remoteHasEnded(): void;
  /** Whether the output command ended before the remote one. */
  readonly isDeaf: boolean;
  /** Whether the input command was still running when the remote one ended. */
  readonly isCutShort: boolean;
  kill(signal: NodeJS.Signals): void;
}

/** Starts the local commands on the connection, and half-closes it as they end. Their own stdin and stdout are ours. */
export function startLocal(connection: Connection, job: Job, options: NearOptions): Local {
  const { stdio, control } = connection;
  connection.open();
  const input = startUnless(options.isStdinTerminal, job.input, ['inherit', stdio, 'inherit']);
  const output = startUnless(options.isStdoutTerminal, job.output, [stdio, 'inherit', 'inherit']);
  connection.attach(input?.child, output?.child);
  let [isDeaf, isCutShort, isInputOver, isRemoteOver] = [false, false, false, false];

  const onInputEnd = (): void => {
    isInputOver = true;
    connection.halfClose();
  };
  if (input) void input.ended.then(onInputEnd);
  else connection.halfClose();

  const onOutputEnd = (): void => {
    isDeaf = !isRemoteOver;
    if (control) {
      control.send({ kind: 'deaf' });
      void connection.discard();
      return;
    }
    // An old remote end learns it only from a reset, which the socket sends when nobody here has it any more.
    isCutShort = !isInputOver;
    input?.kill('SIGPIPE');
    connection.close();
  };
  if (output) void output.ended.then(onOutputEnd);
  else void connection.discard();

  return {
    input,
    output,
    trouble: firstTrouble([input, output], options),
    remoteHasEnded: () => {
      isRemoteOver = true;
      isCutShort ||= connection.refuseWriting() && !isInputOver;
      // A command of the user's sees for itself, as in a pipe; ours may wait for a stdin that says nothing.
      if (!job.input) input?.kill('SIGPIPE');
    },
    get isDeaf() {
      return isDeaf;
    },
    get isCutShort() {
      return isCutShort;
    },
    kill: (signal) => [input, output].forEach((command) => command?.kill(signal)),
  };
}

/** The user's command; else our own stdin or stdout as it is, unless it is a terminal. */
function startUnless(isTerminal: boolean, argv: readonly string[] | undefined, stdio: StdioOptions): Command | undefined {
  if (argv) return startCommand(argv, stdio);
  return isTerminal ? undefined : startCommand(['cat'], stdio);
}

function firstTrouble(commands: readonly (Command | undefined)[], options: NearOptions): Promise<CommandResult> {
  return new Promise((resolve) => {
    const onEnd = (ending: CommandResult): void => {
      if (!ending.failure) return;
      options.warn(ending.failure);
      resolve(ending);
    };
    for (const command of commands) void command?.ended.then(onEnd);
  });
}
