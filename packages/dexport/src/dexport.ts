import type { Socket } from 'node:net';
import { Descriptors } from '@dipus/cli/descriptors';
import { printDiagnostics } from '@dipus/cli/output';
import type { Context } from '@dipus/cli/run';
import { timing } from '@dipus/proto/timing';
import { aborted, deferred } from '@dipus/proto/waiting';
import type { Tree } from '@dipus/tree/root';
import { ownAccess } from './access.ts';
import { Announcing } from './announcing.ts';
import { Answers } from './answers.ts';
import type { Arguments } from './args.ts';
import { Exporter, type ExporterOptions } from './exporter.ts';
import { makeServer } from './http-server.ts';
import { Limits } from './limits.ts';
import { listenAll, type Listening } from './listen.ts';
import { Offers } from './offers.ts';
import { UseLog } from './use-log.ts';

export interface DexportOptions {
  readonly context: Context;
  /** This host's name in service names; it is announced under it. */
  readonly ownHost: string;
  /** What the system calls it. */
  readonly systemHost: string;
  /** Gives up privileges, then opens the tree. Called once the addresses are open. */
  openTree(): Tree;
}

/** Serves until it is stopped. Throws UsageError and Failure where it cannot begin. */
export async function dexport(args: Arguments, options: DexportOptions): Promise<void> {
  const { context } = options;
  const ready = deferred<Answers>();
  const descriptors = new Descriptors();
  // A connection and its service's hold one each.
  const limits = new Limits(Math.min(args.maxConnections, Math.ceil(descriptors.capacity / 2)));
  const listening = await listenAll(args, () => makeServer(limits, ready.promise), context.explain);
  let offers: Offers | undefined;
  let announcing: readonly Announcing[] = [];
  try {
    const tree = options.openTree();
    // Before the services: connections to them come and go.
    descriptors.measure();
    const held = (socket: Socket): void => descriptors.hold(socket, 1);
    offers = new Offers(tree, { access: ownAccess(tree), asks: args.asks, held, warn: context.warn });
    await Promise.race([offers.ready(), aborted(context.stop)]);
    if (context.stop.aborted) return;
    announcing = announceBeyond(args, listening, options);
    const answers = new Answers(newExporter(args, options, { offers, announcing, descriptors }));
    ready.resolve(answers);
    printDiagnostics(`dexport: ${whoMay(listening)} may use what is in ${tree.root}/exported\n`);
    context.print(listening.map(({ uri }) => `${uri}\n`).join(''));
    await aborted(context.stop);
    await Promise.all(announcing.map((one) => one.close()));
    answers.endWatches();
    const graceMs = context.stop.reason === 'SIGTERM' ? (args.graceMs ?? timing.graceMs) : 0;
    await finish(answers.exporter, listening, { graceMs, stopNow: context.stopNow });
  } finally {
    await Promise.all(announcing.map((one) => one.close()));
    offers?.close();
    for (const { server } of listening) server.close();
    limits.close();
  }
}

type Standing = Pick<ExporterOptions, 'offers' | 'descriptors'> & { readonly announcing: readonly Announcing[] };

function newExporter(args: Arguments, { context, ownHost, systemHost }: DexportOptions, standing: Standing): Exporter {
  const { offers, announcing, descriptors } = standing;
  context.explain(`${descriptors.limit} descriptors: connections may hold ${descriptors.capacity} of them`);
  const fixed = [ownHost, systemHost].flatMap((name) => [name, name.split('.')[0]!, `${name.split('.')[0]}.local`]);
  const names = new Set([...fixed, ...args.names].map((name) => name.toLowerCase()));
  return new Exporter({
    offers,
    descriptors,
    isOwnName: (name) => names.has(name) || announcing.some(({ hostName }) => hostName?.toLowerCase() === name),
    isVerbose: args.isVerbose,
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

/** Announces what listens beyond loopback, each port by itself: one name of mDNS leads to one port. */
function announceBeyond(args: Arguments, listening: readonly Listening[], { context, ownHost }: DexportOptions): Announcing[] {
  const beyond = listening.filter(({ isLoopback }) => !isLoopback);
  const ports = args.mayAnnounce ? [...new Set(beyond.map(({ port }) => port))] : [];
  return ports.map((port, at) => {
    const addresses = beyond.filter((one) => one.port === port).map(({ address }) => address);
    const name = at === 0 ? ownHost : `${ownHost}-${port}`;
    return new Announcing({ name, host: ownHost, port, addresses }, context.warn);
  });
}

function whoMay(listening: readonly Listening[]): string {
  if (listening.every(({ isLoopback }) => isLoopback)) return 'every user of this host';
  return 'everybody who reaches this port, unencrypted and unauthenticated,';
}

/** No new connections; open streams may still end. */
async function finish(
  exporter: Exporter,
  listening: readonly Listening[],
  { graceMs, stopNow }: { readonly graceMs: number; readonly stopNow: AbortSignal },
): Promise<void> {
  for (const { server } of listening) {
    server.close();
    server.closeIdleConnections();
  }
  await atMost(graceMs, exporter.streams.idle(), stopNow);
  exporter.streams.breakAll();
  // Whoever was told to stop has to see that before it sees an end.
  await atMost(timing.partingMs, exporter.released(), stopNow);
  exporter.close();
}

/** Waits for something, but not longer than this, nor beyond a signal. */
async function atMost(ms: number, event: Promise<void>, stopNow: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([event, late, aborted(stopNow)]);
  clearTimeout(timer);
}
