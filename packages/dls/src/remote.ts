// The services of another host.
import { Failure } from '@dipus/cli/errors';
import type { Context } from '@dipus/cli/run';
import { openPrompter } from '@dipus/cli/prompter';
import type { Info } from '@dipus/proto/control';
import { servicePath } from '@dipus/proto/name';
import { printable } from '@dipus/proto/printable';
import { describeService } from '@dipus/proto/sep';
import type { HostUri } from '@dipus/proto/uri';
import type { RemoteHost, RemoteService } from '@dipus/proto/remote';
import { probeRemote, watchLiving, type RemoteState } from '@dipus/remote/living';
import { openHost, type OpenOptions } from '@dipus/remote/open';
import { askInfo } from '@dipus/session/control-client';
import type { Arguments } from './args.ts';
import { mapSome } from './found.ts';

/** A service as it was found there. */
interface Found {
  readonly service: RemoteService;
  readonly state: RemoteState | 'untrusted';
  readonly info?: Info;
}

/** Lists once, paths as they are there, with -f as URIs. Returns 1, silently, where nothing answers. Rejects with Failure. */
export async function listRemote(args: Arguments, uri: HostUri, context: Context): Promise<number> {
  const host = await openHost(uri, settingOf(context));
  try {
    const services = await host.list({ ask: uri.ask, isAll: args.isAll });
    const found = await findAll(host, args, services);
    context.print(printAll(host, args, found));
    return found.length === 0 ? 1 : 0;
  } finally {
    host.close();
  }
}

/** Lists what there is as `+` lines, then each change, until it is stopped. Rejects with Failure where the host is lost. */
export async function watchRemote(args: Arguments, uri: HostUri, context: Context): Promise<void> {
  const host = await openHost(uri, settingOf(context));
  const known = new Map<string, RemoteService>();
  const events = {
    added: (service: RemoteService) => {
      known.set(host.pathOf(service), service);
      context.print(printEvent(host, args, { event: 'add', service }));
    },
    removed: (path: string) => {
      const service = known.get(path);
      if (known.delete(path) && service) context.print(printEvent(host, args, { event: 'remove', service }));
    },
    ready: () => {},
    trouble: (reason: string) => host.hasExporter || context.warn(new Failure('watch', host.printed, reason)),
  };
  try {
    const end = await watchLiving(host, { ask: uri.ask, isAll: args.isAll }, events, context.stop);
    if (end) throw end.cause;
  } finally {
    host.close();
  }
}

function settingOf({ explain, stop }: Context): OpenOptions {
  return { explain, stop, prompter: openPrompter };
}

async function findAll(host: RemoteHost, args: Arguments, services: readonly RemoteService[]): Promise<Found[]> {
  const found: (Found | undefined)[] = [];
  const look = async (at: number): Promise<void> => void (found[at] = await findOne(host, args, services[at]!));
  if (!args.isFirstOnly) await mapSome([...services.keys()], look);
  else for (let at = 0; at < services.length && !found.some(Boolean); at++) await look(at);
  return found.filter((each) => each !== undefined);
}

/** Undefined for what is dead, unless all is wanted. */
async function findOne(host: RemoteHost, args: Arguments, service: RemoteService): Promise<Found | undefined> {
  if (service.untrusted !== undefined && args.isAll) return { service, state: 'untrusted' };
  const withInfo = args.isLong && (service.control || host.hasExporter);
  const info = withInfo ? await askInfo((half) => host.dial(service, half)).catch((): Info | undefined => undefined) : undefined;
  if (info) return { service, state: 'alive', info };
  const state = withInfo && host.hasExporter ? 'dead' : await probeRemote(host, service);
  return state === 'dead' && !args.isAll && !host.hasExporter ? undefined : { service, state };
}

function printAll(host: RemoteHost, args: Arguments, found: readonly Found[]): string {
  if (args.isJson) return found.map((each) => `${JSON.stringify(jsonOf(host, each))}\n`).join('');
  return found.map((each) => `${args.isLong ? printState(each) : ''}${shownPath(host, args, each.service)}${remark(each)}\n`).join('');
}

/** State and running/max; mode and owner are the other host's affair. */
function printState({ state, info }: Found): string {
  const use = info && info.max > 0 ? `${info.running}/${info.max}` : '-';
  return `${state.padEnd(5)} ${use.padStart(7)} `;
}

function remark({ service, state }: Found): string {
  if (service.untrusted !== undefined && state === 'untrusted') return `  (untrusted: ${printable(service.untrusted)})`;
  return state === 'dead' ? '  (dead)' : '';
}

function printEvent(host: RemoteHost, args: Arguments, { event, service }: { event: 'add' | 'remove'; service: RemoteService }): string {
  if (!args.isJson) return `${event === 'add' ? '+' : '-'} ${shownPath(host, args, service)}\n`;
  const facts = event === 'add' ? describeService(service) : { path: servicePath(service) };
  return `${JSON.stringify({ event, ...facts, ...placeOf(host, service) })}\n`;
}

function jsonOf(host: RemoteHost, { service, state }: Found): Record<string, unknown> {
  return { ...describeService(service), ...placeOf(host, service), state, origin: host.uriOf(service) };
}

/** An exporter offers one area; elsewhere it belongs to the name. */
function placeOf(host: RemoteHost, { area }: RemoteService): { area?: string } {
  return host.hasExporter ? {} : { area };
}

function shownPath(host: RemoteHost, args: Arguments, service: RemoteService): string {
  return args.isFull ? host.uriOf(service) : host.pathOf(service);
}
