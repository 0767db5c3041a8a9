import type { Socket } from 'node:net';
import { Descriptors } from '@dipus/cli/descriptors';
import { printDiagnostics } from '@dipus/cli/output';
import type { Context } from '@dipus/cli/run';
import { timing } from '@dipus/proto/timing';
import { aborted, deferred, inTime } from '@dipus/proto/waiting';
import type { Holder } from '@dipus/session/holder';
import type { Tree } from '@dipus/tree/root';
import { ownAccess, type Access } from './access.ts';
import { Announcing, type Announced } from './announcing.ts';
import { Answers } from './answers.ts';
import type { Arguments } from './args.ts';
import { plainEntrance, type Entrance } from './entrance.ts';
import { Exporter, type ExporterOptions } from './exporter.ts';
import { Limits } from './limits.ts';
import { listenAll, type Listening } from './listen.ts';
import { Offers } from './offers.ts';
import type { Openers } from './openers.ts';
import { rulesOf } from './rules.ts';
import { UseLog } from './use-log.ts';
import { holdLater, Views, type HeldView } from './user-views.ts';

export interface DexportOptions {
  readonly context: Context;
  /** This host's name in service names; it is announced under it. */
  readonly ownHost: string;
  /** What the system calls it. */
  readonly systemHost: string;
  /** Opens as other users; undefined where root has not started it. */
  readonly openers: Openers | undefined;
  /** Holds what sessions send. */
  readonly holder: Holder;
  /** Whether open streams may go on for a while after SIGTERM. */
  mayLinger(): boolean;
  /** Gives up privileges, then opens the tree. Called once the addresses are open. */
  openTree(): Tree;
}

/** Serves until it is stopped. Throws UsageError and Failure where it cannot begin. */
export async function dexport(args: Arguments, options: DexportOptions): Promise<void> {
  const { context } = options;
  const ready = deferred<Answers>();
  const views = deferred<Views>();
  const descriptors = new Descriptors();
  // A connection and its service's hold one each.
  const maxConnections = Math.min(args.maxConnections, Math.ceil(descriptors.capacity / 2));
  const entrance = await openEntrance(args, options, { ready: ready.promise, views: views.promise, descriptors, maxConnections });
  let listening: readonly Listening[] = [];
  let offers: Offers | undefined;
  let announcing: readonly Announced[] = [];
  try {
    listening = await listenAll(args, entrance, context.explain);
    const tree = options.openTree();
    // Before the services: connections to them come and go.
    descriptors.measure();
    const held = (socket: Socket): void => descriptors.hold(socket, 1);
    const newOffers = (access: Access): Offers => new Offers(tree, { access, asks: args.asks, held, warn: context.warn });
    offers = newOffers(ownAccess(tree));
    await Promise.race([offers.ready(), aborted(context.stop)]);
    if (context.stop.aborted) return;
    views.resolve(new Views(offers, options.openers && ((user) => newOffers(options.openers!.accessOf(user)))));
    announcing = await announceAll(args, listening, { ...options, text: entrance.text, offers, tree });
    const answers = new Answers(newExporter(args, options, { tree, offers, announcing, descriptors }));
    ready.resolve(answers);
    const isLocal = listening.every(({ isLoopback }) => isLoopback);
    printDiagnostics(`dexport: ${entrance.whoMay(`${tree.root}/exported`, isLocal)}\n`);
    context.ready(listening.map(({ uri }) => `${uri}\n`).join(''));
    await aborted(context.stop);
    await Promise.all(announcing.map((one) => one.close()));
    for (const { server } of listening) server.close();
    answers.endWatches();
    entrance.goodbye();
    const mayLinger = context.stop.reason === 'SIGTERM' && options.mayLinger();
    const graceMs = mayLinger ? (args.graceMs ?? timing.graceMs) : 0;
    await finish(answers.exporter, { graceMs, stopNow: context.stopNow });
    if (graceMs > 0) await atMost(timing.partingMs, entrance.parted(), context.stopNow);
  } finally {
    await Promise.all(announcing.map((one) => one.close()));
    offers?.close();
    void views.promise.then((one) => one.close());
    for (const { server } of listening) server.close();
    entrance.close();
  }
}

interface Awaited {
  readonly ready: Promise<Answers>;
  readonly views: Promise<Views>;
  readonly descriptors: Descriptors;
  readonly maxConnections: number;
}

async function openEntrance(args: Arguments, { context, openers }: DexportOptions, awaited: Awaited): Promise<Entrance> {
  const { ready, views, descriptors, maxConnections } = awaited;
  const limits = new Limits(maxConnections);
  if (!args.isSeps) return plainEntrance({ limits, ready });
  // Only what speaks TLS loads it.
  const { sepsEntrance } = await import('./seps-entrance.ts');
  const viewOf = (user: string | undefined): HeldView => holdLater(views, user);
  return sepsEntrance({
    context,
    environment: process.env,
    descriptors,
    maxConnections,
    ready,
    limits,
    isPlain: args.isPlain,
    openers,
    viewOf,
  });
}

type Standing = Pick<ExporterOptions, 'offers' | 'descriptors'> & { readonly tree: Tree; readonly announcing: readonly Announced[] };

function newExporter(args: Arguments, { context, holder, ownHost, systemHost }: DexportOptions, standing: Standing): Exporter {
  const { tree, offers, announcing, descriptors } = standing;
  context.explain(`${descriptors.limit} descriptors: connections may hold ${descriptors.capacity} of them`);
  const fixed = [ownHost, systemHost].flatMap((name) => [name, name.split('.')[0]!, `${name.split('.')[0]}.local`]);
  const names = new Set([...fixed, ...args.names].map((name) => name.toLowerCase()));
  return new Exporter({
    offers,
    descriptors,
    holder,
    isOwnName: (name) => names.has(name) || announcing.some(({ hostName }) => hostName?.toLowerCase() === name),
    isVerbose: args.isVerbose,
    rules: args.hasRules ? rulesOf(tree, context.warn) : undefined,
    useLog: new UseLog({ write: useWriter(args, context), isJson: args.isJson }),
    explain: context.explain,
    warn: context.warn,
    log: printDiagnostics,
  });
}

function useWriter(args: Arguments, context: Context): ((line: string) => void) | undefined {
  if (args.isJson) return (line) => printDiagnostics(`${line}\n`);
  return args.isVerbose ? context.explain : undefined;
}

/** By mDNS, and in a registry where one is named. */
async function announceAll(args: Arguments, listening: readonly Listening[], options: Announceable): Promise<Announced[]> {
  const byMdns = announceBeyond(args, listening, options);
  if (!args.registry) return byMdns;
  // Only what registers loads it.
  const { register } = await import('./registering.ts');
  const { context, ownHost, text, offers, tree } = options;
  const { warn, explain } = context;
  const { registry, names } = args;
  return [...byMdns, await register({ registry, names, host: ownHost, listening, text, view: offers, tree, warn, explain })];
}

type Announceable = DexportOptions & Pick<Entrance, 'text'> & { readonly offers: Offers; readonly tree: Tree };

/** Announces what listens beyond loopback, each port by itself: one name of mDNS leads to one port. */
function announceBeyond(args: Arguments, listening: readonly Listening[], { context, ownHost, text }: Announceable): Announcing[] {
  const beyond = listening.filter(({ isLoopback }) => !isLoopback);
  const ports = args.mayAnnounce ? [...new Set(beyond.map(({ port }) => port))] : [];
  return ports.map((port, at) => {
    const addresses = beyond.filter((one) => one.port === port).map(({ address }) => address);
    const name = at === 0 ? ownHost : `${ownHost}-${port}`;
    return new Announcing({ name, host: ownHost, port, addresses, text }, context.warn);
  });
}

/** Open streams may still end. */
async function finish(
  exporter: Exporter,
  { graceMs, stopNow }: { readonly graceMs: number; readonly stopNow: AbortSignal },
): Promise<void> {
  await atMost(graceMs, exporter.streams.idle(), stopNow);
  exporter.streams.breakAll();
  // Whoever was told to stop has to see that before it sees an end.
  await atMost(timing.partingMs, exporter.released(), stopNow);
  exporter.close();
}

/** Waits for something, but not longer than this, nor beyond a signal. */
async function atMost(ms: number, event: Promise<void>, stopNow: AbortSignal): Promise<void> {
  await inTime(ms, Promise.race([event, aborted(stopNow)]));
}
