import { Failure } from '@dipus/proto/failure';
import type { Context } from '@dipus/cli/run';
import { libc } from '@dipus/descriptors/libc';
import { keepInfoService } from '@dipus/ipc/info-service';
import { keepRundirSocket, rundirsOf, type Rundir } from '@dipus/ipc/rundir';
import { aborted } from '@dipus/proto/waiting';
import { requireGroup } from '@dipus/tree/accounts';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { Asks, type AsksOptions } from './asks.ts';
import { serveQuestions } from './questions.ts';
import type { RuleBook } from './rule-book.ts';

export interface IpcdOptions {
  readonly context: Context;
  readonly book: RuleBook;
  readonly tree: Tree;
  readonly host: string;
}

const socketNames = { zig: 'ipc', c: 'network' } as const;

/** Answers until it is stopped. Prints the path of each socket when all are ready. Throws Failure. */
export async function ipcd(args: Arguments, { context, book, tree, host }: IpcdOptions): Promise<void> {
  const { stop, warn, explain } = context;
  const rundirs = rundirsOf(process.env, args.rundirs);
  const options: AsksOptions = { book, grounds: { tree, rundirs }, log: { warn, explain } };
  const asks = new Asks(options);
  const releases: (() => void)[] = [];
  await book.rules();
  book.keepResolving(stop);
  try {
    const wanted = { area: 'local', protocol: '', name: 'ipcd', host };
    const service = { connected: (client: Parameters<typeof serveQuestions>[0]) => serveQuestions(client, options), max: 128, stop, warn };
    const kept = await keepInfoService(tree, wanted, { ...service, running: () => asks.running });
    releases.push(kept.release);
    const lines = [kept.path];
    for (const rundir of mayHandOver(context) ? rundirs : []) {
      const socket = await inRundir(rundir, args, { context, tree, asks });
      if (!socket) continue;
      releases.push(socket.release);
      lines.push(socket.path);
    }
    context.ready(lines.map((line) => `${line}\n`).join(''));
    await aborted(stop);
  } finally {
    for (const release of releases) release();
  }
}

/** Without koffi only questions in text are answered. */
function mayHandOver({ warn }: Context): boolean {
  try {
    libc();
    return true;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    warn(new Failure('answer', 'programs of libipc', error.message).withHint(error.hint));
    return false;
  }
}

interface Around {
  readonly context: Context;
  readonly tree: Tree;
  readonly asks: Asks;
}

/** Undefined where the directory of the C era, which nobody has asked for, cannot be written. */
async function inRundir(
  rundir: Rundir,
  args: Arguments,
  { context, tree, asks }: Around,
): Promise<{ path: string; release(): void } | undefined> {
  const { stop, warn, explain } = context;
  try {
    return await keepRundirSocket(
      tree,
      { ...rundir, name: socketNames[rundir.era] },
      { connected: (client) => void asks.serve(client, rundir.era), access: accessOf(args), stop, warn },
    );
  } catch (error) {
    const isOptional = rundir.era === 'c' && args.rundirs.length === 0 && !process.env['IPC_RUNDIR'];
    if (!isOptional || !(error instanceof Failure)) throw error;
    explain(`left out: ${error.message}`);
    return undefined;
  }
}

function accessOf({ mode, group }: Arguments): { mode?: number; gid?: number } {
  return { ...(mode !== undefined && { mode }), ...(group !== undefined && { gid: requireGroup(group) }) };
}
