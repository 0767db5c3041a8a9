import { untilThere } from '@dipus/cli/appear';
import type { Context } from '@dipus/cli/run';
import { readService, type Wanted } from '@dipus/cli/service-operand';
import { everything } from '@dipus/proto/ask';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { openLocal } from './local-services.ts';
import { findAll, type Found, type Named, type Services } from './services.ts';
import { formatEvent, formatJson, formatLong, formatShort } from './format.ts';
import { openRemote } from './remote-services.ts';

/** What is shown to a person, who can do with a header. */
export interface Audience {
  readonly isTerminal: boolean;
  readonly now: number;
}

export interface DlsOptions extends Audience {
  openTree(): Tree;
}

/**
 * Lists once, or with -w what there is and each change until it is stopped. Returns 1, silently, where nothing answers a SERVICE that was
 * given. Throws UsageError and Failure.
 */
export async function dls(args: Arguments, context: Context, { openTree, ...audience }: DlsOptions): Promise<number> {
  const wanted = await read(args.service, openTree, context);
  const services = 'scheme' in wanted ? await openRemote(wanted, openTree, context) : openLocal(openTree(), wanted, context);
  try {
    if (args.isWatch) return await watch(services, args, context);
    const found = await find(services, args, context);
    context.print(format(found, args, audience));
    return found.length === 0 && args.service !== undefined ? 1 : 0;
  } finally {
    services.close();
  }
}

async function read(service: string | undefined, openTree: () => Tree, context: Context): Promise<Wanted> {
  return service === undefined ? everything : ((await readRoute(service, openTree, context)) ?? readService(service));
}

/** Where a name leads by IPC_NETWORK; undefined where that says nothing of it. Rejects with Failure. */
async function readRoute(service: string, openTree: () => Tree, { explain }: Context): Promise<Wanted | undefined> {
  // Without it that costs nothing.
  if (!process.env['IPC_NETWORK']) return undefined;
  const { wayOut } = await import('@dipus/ipc/way-out');
  const way = await wayOut(service, { tree: openTree(), environment: process.env, explain });
  if (!way) return undefined;
  return 'uri' in way ? readService(way.uri) : { file: way.services[0]!.file };
}

function find(services: Services, args: Arguments, { stop, explain }: Context): Promise<Found[]> {
  const looks = { isAll: args.isAll, isFirstOnly: args.isFirstOnly, withInfo: args.isLong || args.isJson };
  const look = async (isLate: () => boolean): Promise<Found[] | undefined> => {
    const found = await findAll(services, looks);
    return found.length > 0 || isLate() ? found : undefined;
  };
  return untilThere(look, { waitMs: args.waitMs ?? 0, stop, waiting: () => explain('nothing is there, waiting for it') });
}

async function watch(services: Services, args: Arguments, context: Context): Promise<number> {
  const tell = (event: 'add' | 'remove') => (service: Named) => context.print(formatEvent(event, service, args));
  await services.watch(args.isAll, { added: tell('add'), removed: tell('remove') }, context.stop);
  return 0;
}

function format(found: readonly Found[], args: Arguments, audience: Audience): string {
  if (args.isJson) return formatJson(found);
  return args.isLong ? formatLong(found, args.isFull, audience) : formatShort(found, args.isFull);
}
