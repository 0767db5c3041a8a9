import { rmSync, writeFileSync } from 'node:fs';
import type { Context } from '@dipus/cli/run';
import { timing } from '@dipus/proto/timing';
import { aborted, deferred, pause } from '@dipus/proto/waiting';
import { groupId } from '@dipus/tree/accounts';
import type { Wanted } from '@dipus/tree/claim';
import { readUser, type Tree } from '@dipus/tree/root';
import { Failure } from '@dipus/proto/failure';
import type { LinkWays } from '@dipus/session/stage-links';
import type { Arguments } from './args.ts';
import { isInBackground, settle, writeTo } from './background.ts';
import { dialStage } from './dial.ts';
import { openLinkPort } from './link-port.ts';
import { Offer, type Places } from './offer.ts';
import { anyCommand, appRuns, firstOf, oneCommand, type WhatRuns } from './what-runs.ts';

/** Lets stages run until it is stopped. Throws Failure. */
export async function dpipesd(
  args: Arguments,
  { tree, host }: { readonly tree: Tree; readonly host: string },
  context: Context,
): Promise<void> {
  const { stop, stopNow, warn, explain } = context;
  const places: Places = { max: args.max, running: 0, ...(args.isOnce && { once: { isTaken: false, over: deferred() } }) };
  const open = { stop, warn, explain, prompter: () => undefined, user: () => readUser(process.env), tree: () => tree };
  const ways: LinkWays = { dial: (uri) => dialStage(uri, open), listen: (take) => openLinkPort(take, args.linkPorts) };
  const offers: Offer[] = [];
  const offer = async (name: string, protocol: string, whatRuns: WhatRuns): Promise<void> => {
    const one = new Offer({ wanted: wantedOf(args, { name, protocol, host }), whatRuns, places, stop, ways, warn, explain });
    offers.push(one);
    await one.begin(tree);
  };
  try {
    await offer('dpipesd', '', whatRunsAt(args));
    for (const app of args.apps) await offer(app.name, 'dp', appRuns(app));
    if (args.pidFile !== undefined) writePid(args.pidFile);
    context.ready(offers.map(({ path }) => `${path}\n`).join(''));
    if (isInBackground) await settle(args.log);
    else if (args.log !== undefined) writeTo(args.log);
    // Whoever starts it for one stage, by ssh(1) say, may be gone before that comes.
    if (args.isOnce && !isInBackground) context.endWithReader();
    await Promise.race([aborted(stop), places.once?.over.promise ?? new Promise<never>(() => {})]);
  } finally {
    await end(offers, { graceMs: stop.reason === 'SIGTERM' ? (args.graceMs ?? timing.graceMs) : 0, stopNow });
    if (args.pidFile !== undefined) rmSync(args.pidFile, { force: true });
  }
}

function writePid(file: string): void {
  try {
    writeFileSync(file, `${process.pid}\n`);
  } catch (error) {
    throw new Failure('write', file, error);
  }
}

function whatRunsAt({ area, apps, command }: Arguments): WhatRuns {
  if (area === 'local' && apps.length === 0 && !command) return anyCommand;
  return firstOf([...(command ? [oneCommand(command)] : []), ...apps.map(appRuns)]);
}

async function end(
  offers: readonly Offer[],
  { graceMs, stopNow }: { readonly graceMs: number; readonly stopNow: AbortSignal },
): Promise<void> {
  const finished = Promise.all(offers.map((one) => one.close()));
  const over = new AbortController();
  await Promise.race([finished, pause(graceMs, AbortSignal.any([stopNow, over.signal]))]);
  for (const one of offers) one.endPrograms(stopNow.aborted);
  await Promise.race([finished, pause(timing.killMs + timing.partingMs, over.signal)]);
  over.abort();
  for (const one of offers) one.part();
}

function wantedOf(
  { area, mode, group }: Arguments,
  { name, protocol, host }: { readonly name: string; readonly protocol: string; readonly host: string },
): Wanted {
  const gid = group === undefined ? undefined : groupId(group);
  if (group !== undefined && gid === undefined) throw new Failure('use group', group, 'there is no such group');
  return { area, protocol, name, host, ...(mode !== undefined && { mode }), ...(gid !== undefined && { gid }) };
}
