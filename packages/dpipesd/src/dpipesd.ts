import { rmSync, statSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { Descriptors } from '@dipus/cli/descriptors';
import type { Context } from '@dipus/cli/run';
import { objectOptions } from '@dipus/proto/pipe';
import { timing } from '@dipus/proto/timing';
import { aborted, pause } from '@dipus/proto/waiting';
import { requireGroup, userName } from '@dipus/tree/accounts';
import type { Wanted } from '@dipus/tree/claim';
import { readUser, type Tree } from '@dipus/tree/root';
import { Failure } from '@dipus/proto/failure';
import { sweepFifos } from '@dipus/relay/fifo';
import { descriptorsOfStage } from '@dipus/session/stage';
import type { LinkWays } from '@dipus/session/stage-links';
import { endGroup } from '@dipus/programs/group';
import type { Terms } from './agreement.ts';
import type { ApiSubject } from './api.ts';
import { serveApi, type ApiServer } from './api-server.ts';
import type { App } from './app.ts';
import type { Arguments } from './args.ts';
import { isInBackground, settle, writeTo } from './background.ts';
import { callsAnybody, callsThese, type MayCall } from './calls.ts';
import { dialStage } from './dial.ts';
import { startExporter, type Exporter } from './exporter.ts';
import { findProgram } from './find-program.ts';
import { knownNodes } from './known-nodes.ts';
import { openLinkPort } from './link-port.ts';
import { Offer } from './offer.ts';
import { Places } from './places.ts';
import { SeenStages } from './seen-stages.ts';
import { acceptsAll, acceptsThese } from './stage-options.ts';
import { anyCommand, onlyThese, type WhatRuns } from './what-runs.ts';

declare const DIPUS_VERSION: string;

const never = new Promise<never>(() => {});

/** Lets stages run until it is stopped. Throws Failure. */
export async function dpipesd(
  args: Arguments,
  { tree, host }: { readonly tree: Tree; readonly host: string },
  context: Context,
): Promise<void> {
  const { stop, stopNow, warn, explain } = context;
  sweepFifos();
  const most = Math.max(1, Math.floor(new Descriptors().capacity / descriptorsOfStage));
  if (most < args.max) explain(`at most ${most} stages at a time: there are no descriptors for more (ulimit -n)`);
  const places = new Places({ ...args, max: Math.min(args.max, most) });
  const open = { stop, warn, explain, prompter: () => undefined, user: () => readUser(process.env), tree: () => tree };
  const ways: LinkWays = { dial: (uri) => dialStage(uri, mayCall, open), listen: (take) => openLinkPort(take, args.linkPorts) };
  const offers: Offer[] = [];
  // The stages of this very daemon are nobody else's.
  const mayCall: MayCall = (uri) => callsOf(args)(uri) || (uri.scheme === 'unix' && offers.some(({ path }) => path === uri.path));
  const terms: Terms = {
    accepts: args.accepts ?? (args.area === 'local' ? acceptsAll : acceptsThese(['nice', ...objectOptions])),
    objectOptions: args.objectOptions,
    user: userName(process.geteuid!()),
    ...(args.authCommand && { authCommand: args.authCommand }),
  };
  const apps = args.apps.map(resolved);
  const seen = new SeenStages();
  const mayRun = mayRunAny(args) ? 'any' : namesOf(args);
  const subject = { host, user: terms.user, apps, mayRun, places, seen } as const;
  const sources = { nodes: args.nodes, registry: args.registry?.url, tree, stop };
  const api = args.hasApi ? startApi(args, { ...subject, tellNodes: knownNodes(sources) }) : undefined;
  const offer = async ([name, protocol]: readonly [string, string], whatRuns: WhatRuns, only?: readonly string[]): Promise<void> => {
    const wanted = wantedOf(args, { name, protocol, host });
    const plain = name === 'dpipesd' && api && { plain: api.connected };
    const one = new Offer({
      wanted,
      ...(only && { only }),
      ...plain,
      terms: { ...terms, whatRuns },
      places,
      seen,
      stop,
      ways,
      warn,
      explain,
    });
    offers.push(one);
    await one.begin(tree);
  };
  let exporter: Exporter | undefined;
  try {
    if (mayRun === 'any') await offer(['dpipesd', ''], anyCommand);
    else await offer(['dpipesd', ''], onlyThese(args.command, apps), mayRun);
    for (const app of apps) await offer([app.name, 'dp'], onlyThese(undefined, [app]));
    exporter = args.isPlain ? await startExporter({ ...args, registry: args.registry?.text }) : undefined;
    if (args.pidFile !== undefined) writePid(args.pidFile);
    if (args.isAnyCommand)
      warn(`${args.isPlain ? 'everybody who reaches this port' : 'whoever an exporter lets in'} runs commands as ${terms.user}`);
    context.ready(offers.map(({ path }) => `${path}\n`).join('') + (exporter?.lines ?? ''));
    if (isInBackground) await settle(args.log);
    else if (args.log !== undefined) writeTo(args.log);
    // Whoever starts it for one stage, by ssh(1) say, may be gone before that comes.
    if (args.isOnce && !isInBackground) context.endWithReader();
    await Promise.race([aborted(stop), places.over, exporter?.lost ?? never]);
  } finally {
    await exporter?.end();
    api?.close();
    await end(offers, { graceMs: stop.reason === 'SIGTERM' ? (args.graceMs ?? timing.graceMs) : 0, stopNow });
    if (args.pidFile !== undefined) rmSync(args.pidFile, { force: true });
  }
}

/** What is told by HTTP where this name is. */
function startApi(
  { settings, area, mode }: Arguments,
  subject: Pick<ApiSubject, 'host' | 'user' | 'apps' | 'mayRun' | 'places' | 'seen' | 'tellNodes'>,
): ApiServer {
  const told = { ...subject, version: DIPUS_VERSION, since: Date.now(), settings, endProgram: (pid: number) => void endGroup(pid) };
  return serveApi({ subject: told, isExported: area !== 'local', isPrivate: ((mode ?? 0o600) & 0o077) === 0 });
}

function writePid(file: string): void {
  try {
    writeFileSync(file, `${process.pid}\n`);
  } catch (error) {
    throw new Failure('write', file, error);
  }
}

/** The same app by the file of its program, which is looked for once. Throws Failure. */
function resolved(app: App): App {
  const [name, ...args] = app.command;
  const file = findProgram(name, process.env['PATH'] ?? '');
  if (file === undefined)
    throw new Failure('offer', app.name, `there is no program ${name}`).withHint('command= names the file of another one');
  if (app.directory !== undefined && statSync(app.directory, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new Failure('offer', app.name, `there is no directory ${app.directory}`).withHint('cwd= names where it runs');
  return { ...app, command: [file, ...args] };
}

function mayRunAny({ area, apps, command, isAnyCommand }: Arguments): boolean {
  return isAnyCommand || (area === 'local' && apps.length === 0 && !command);
}

/** What clients call the programs that run here. */
function namesOf({ command, apps }: Arguments): string[] {
  return [...(command ? [basename(command[0])] : []), ...apps.map(({ name }) => name)];
}

function callsOf(args: Arguments): MayCall {
  return mayRunAny(args) ? callsAnybody : callsThese(args.calls);
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
  const gid = group === undefined ? undefined : requireGroup(group);
  return { area, protocol, name, host, ...(mode !== undefined && { mode }), ...(gid !== undefined && { gid }) };
}
