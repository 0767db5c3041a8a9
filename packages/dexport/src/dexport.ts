import { Descriptors } from '@dipus/cli/descriptors';
import { printDiagnostics } from '@dipus/cli/output';
import type { Context } from '@dipus/cli/run';
import { announce } from '@dipus/mdns/announce';
import { timing } from '@dipus/proto/timing';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { Exporter } from './exporter.ts';
import { Limits, makeServer } from './http-server.ts';
import { listenAll, type Listening } from './listen.ts';
import { Offers } from './offers.ts';

export interface DexportSetting {
  readonly context: Context;
  /** This host's names, for requests that must name it. */
  readonly hostNames: readonly string[];
  /** Gives up privileges, then opens the tree. Called once the addresses are open. */
  openTree(): Tree;
}

/** Serves until it is stopped. Throws UsageError and Failure where it cannot begin. */
export async function dexport(args: Arguments, setting: DexportSetting): Promise<void> {
  const { context } = setting;
  let begin!: (exporter: Exporter) => void;
  const ready = new Promise<Exporter>((resolve) => (begin = resolve));
  const limits = new Limits(args.maxConnections);
  const watches = new Set<() => void>();
  const listening = await listenAll(args, () => makeServer(limits, ready, watches), context.verbose);
  let offers: Offers | undefined;
  try {
    const tree = setting.openTree();
    offers = new Offers(tree, args.asks, context.warn);
    await offers.ready();
    const exporter = newExporter(args, setting, tree, offers);
    begin(exporter);
    printDiagnostics(`dexport: ${whoMay(listening)} may use what is in ${tree.root}/exported\n`);
    context.print(listening.map(({ uri }) => `${uri}\n`).join(''));
    const quiet = announceBeyond(args, listening, setting);
    await aborted(context.stop);
    await quiet();
    for (const end of watches) end();
    await finish(exporter, listening, args, context);
  } finally {
    offers?.close();
    for (const { server } of listening) {
      server.close();
      server.closeAllConnections();
    }
  }
}

function newExporter(args: Arguments, { context, hostNames }: DexportSetting, tree: Tree, offers: Offers): Exporter {
  const descriptors = new Descriptors();
  context.verbose(`${descriptors.limit} descriptors: connections may hold ${descriptors.capacity} of them`);
  const names = [...hostNames.flatMap((name) => [name, name.split('.')[0]!, `${name.split('.')[0]}.local`]), ...args.names];
  return new Exporter({
    tree,
    offers,
    descriptors,
    names: new Set(names.map((name) => name.toLowerCase())),
    explain: context.verbose,
    warn: context.warn,
    log: printDiagnostics,
  });
}

/** Announces the first address beyond loopback; trouble with that is no reason to end. Returns how to take it back. */
function announceBeyond(args: Arguments, listening: readonly Listening[], { context, hostNames }: DexportSetting): () => Promise<void> {
  const beyond = listening.find(({ isLoopback }) => !isLoopback);
  if (!beyond || !args.mayAnnounce) return () => Promise.resolve();
  const host = hostNames[0]!.split('.')[0]!;
  const announced = announce({ name: host, host, port: beyond.port }).catch((error: unknown) => {
    context.warn(error);
    return undefined;
  });
  return async () => {
    const announcement = await Promise.race([announced, delay(timing.partingMs)]);
    await announcement?.close();
  };
}

function whoMay(listening: readonly Listening[]): string {
  if (listening.every(({ isLoopback }) => isLoopback)) return 'every user of this host';
  return 'everybody who reaches this port, unencrypted and unauthenticated,';
}

/** No new connections; open streams may still end. */
async function finish(exporter: Exporter, listening: readonly Listening[], args: Arguments, context: Context): Promise<void> {
  for (const { server } of listening) {
    server.close();
    server.closeIdleConnections();
  }
  const graceMs = context.stop.reason === 'SIGTERM' ? (args.graceMs ?? timing.graceMs) : 0;
  await Promise.race([exporter.idle(), delay(graceMs), aborted(context.stopNow)]);
  exporter.breakAll();
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
