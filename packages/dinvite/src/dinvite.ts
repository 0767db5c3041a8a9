import { watch } from 'node:fs';
import { Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { deferred } from '@dipus/proto/waiting';
import { readAuthorizedPeers, remarksOn, usersOfExporter } from '@dipus/seps/authorized-peers';
import type { ConfigFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { invitationsPath, invitationState, invite, takeBack, type Taker } from '@dipus/seps/invitations';
import type { Arguments } from './args.ts';
import { whyNobodyAnswers } from './exporter-here.ts';

/** What the work of dinvite gets from its command. */
export interface InviteContext {
  /** Ends the wait, and takes the invitation back. */
  readonly stop: AbortSignal;
  print(lines: string): void;
  warn(error: unknown): void;
}

export interface DinviteOptions {
  readonly context: InviteContext;
  readonly folder: ConfigFolder;
  readonly user: { readonly uid: number; readonly name: string };
  userId(name: string): number | undefined;
  readonly systemHost: string;
}

/** Takes an invitation back. Throws Failure where there is none. */
export function withdraw(folder: ConfigFolder, name: string): void {
  if (!takeBack(folder, name)) throw new Failure('take back the invitation of', name, 'there is none');
}

/** Prints a code and waits until it is taken. Rejects with Failure where it cannot be used, or has expired. */
export async function inviteAndWait(args: Arguments, given: DinviteOptions): Promise<void> {
  const { context, folder, user, userId, systemHost } = given;
  const why = usersOfExporter(user, userId)(args.grant.user);
  if (why !== undefined)
    throw new Failure('invite', args.name, why).withHint(user.uid === 0 ? `dinvite ${args.name} user=USER …` : undefined);
  const identity = loadIdentity(folder);
  const until = Date.now() + args.lifeMs;
  const code = invite(folder, { name: args.name, options: args.options, until });
  context.print(`${code}\n`);
  const host = systemHost.includes('.') ? systemHost : `${systemHost}.local`;
  context.warn(`good once, until ${clockTime(until)}; on the remote host: djoin ${host}, or as this host is called there`);
  const over = new AbortController();
  void whyNobodyAnswers(identity, over.signal).then((trouble) => trouble !== undefined && context.warn(`hint: ${trouble}`));
  const taker = await waitForTaker(folder, { name: args.name, until, stop: context.stop }).finally(() => over.abort());
  if (taker) tellOf(taker, args, given);
}

function tellOf({ pin, calledItself }: Taker, { name, options }: Arguments, { context, folder }: DinviteOptions): void {
  context.print(`+ ${name} ${pin}\n`);
  if (calledItself !== name) context.warn(`it calls itself ${calledItself}`);
  const peers = readAuthorizedPeers(folder, { warn: () => {} });
  for (const remark of remarksOn(peers, { pin, name, options })) context.warn(`authorized_peers: ${remark}`);
}

/** Resolves with whoever has taken it, with undefined when it was stopped; rejects with Failure where nobody will take it any more. */
async function waitForTaker(
  folder: ConfigFolder,
  { name, until, stop }: { name: string; until: number; stop: AbortSignal },
): Promise<Taker | undefined> {
  const over = deferred<Taker | undefined>();
  const look = (): void => {
    try {
      const state = invitationState(folder, name);
      if (typeof state === 'object') return over.resolve(state);
      if (state === 'gone') throw new Failure('wait for', name, Date.now() < until ? 'it was taken back' : expired);
      // Whoever is taking it now may still do so.
      if (state === 'open' && (stop.aborted || Date.now() >= until) && takeBack(folder, name)) {
        if (!stop.aborted) throw new Failure('wait for', name, expired);
        over.resolve(undefined);
      }
    } catch (error) {
      over.reject(error);
    }
  };
  const watcher = watch(invitationsPath(folder), { persistent: false }, look).on('error', () => watcher.close());
  const timer = setInterval(look, timing.invitedMs);
  const ending = setTimeout(look, Math.min(until - Date.now() + 1, maxTimerMs));
  stop.addEventListener('abort', look);
  try {
    look();
    return await over.promise;
  } finally {
    watcher.close();
    clearInterval(timer);
    clearTimeout(ending);
    stop.removeEventListener('abort', look);
  }
}

const expired = 'nobody has taken the invitation in time';
// What setTimeout can count to.
const maxTimerMs = 2 ** 31 - 1;

/** As a person here reads a clock; with the day where that is another one. */
function clockTime(at: number): string {
  const [then, now] = [new Date(at), new Date()];
  const pad = (number: number): string => String(number).padStart(2, '0');
  const time = `${pad(then.getHours())}:${pad(then.getMinutes())}`;
  if (then.toDateString() === now.toDateString()) return time;
  return `${then.getFullYear()}-${pad(then.getMonth() + 1)}-${pad(then.getDate())} ${time}`;
}
