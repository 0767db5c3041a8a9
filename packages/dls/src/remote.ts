// The services of another host, as its exporter lists them.
import { servicePath } from '@dipus/proto/name';
import type { Info } from '@dipus/proto/control';
import { describeService, printWatchEvent, targetOf, type OfferedService } from '@dipus/proto/sep';
import type { HostUri } from '@dipus/proto/uri';
import { hostOf, printHost, type SepHost } from '@dipus/sep/host';
import { listServices } from '@dipus/sep/list';
import { localLookup } from '@dipus/sep/local-lookup';
import { dialService } from '@dipus/sep/request';
import { watchServices } from '@dipus/sep/watch';
import { askInfo } from '@dipus/session/control-client';
import type { Arguments, DlsOutput } from './args.ts';

/** Lists once, paths as they are there, with -f as URIs. Returns 1, silently, where nothing answers. Rejects with Failure. */
export async function listRemote(args: Arguments, uri: HostUri, output: DlsOutput): Promise<number> {
  const host = hostOf(
    uri,
    localLookup(async (...asked) => (await import('@dipus/mdns/resolve')).resolveLocal(...asked)),
  );
  const all = await listServices(host, uri.ask);
  const services = args.isFirstOnly ? all.slice(0, 1) : all;
  const print = (service: OfferedService): string => pathOf(service, host, args.isFull);
  if (args.isJson) output.print(services.map((service) => `${JSON.stringify(jsonOf(service, host))}\n`).join(''));
  else if (args.isLong) output.print(await printStates(services, host, print));
  else output.print(services.map((service) => `${print(service)}\n`).join(''));
  return services.length === 0 ? 1 : 0;
}

/** Lists what there is as `+` lines, then each change, until it is stopped. Rejects with Failure where the host is lost. */
export async function watchRemote(args: Arguments, uri: HostUri, output: DlsOutput, stop: AbortSignal): Promise<void> {
  const host = hostOf(
    uri,
    localLookup(async (...asked) => (await import('@dipus/mdns/resolve')).resolveLocal(...asked)),
  );
  const known = new Map<string, OfferedService>();
  const tell = (event: 'add' | 'remove', service: OfferedService): void => {
    if (args.isJson) return output.print(printWatchEvent(event === 'add' ? { event, service } : { event, path: servicePath(service) }));
    output.print(`${event === 'add' ? '+' : '-'} ${pathOf(service, host, args.isFull)}\n`);
  };
  const events = {
    added: (service: OfferedService) => {
      known.set(servicePath(service), service);
      tell('add', service);
    },
    removed: (path: string) => {
      const service = known.get(path);
      if (known.delete(path) && service) tell('remove', service);
    },
    ready: () => {},
    trouble: () => {},
  };
  const end = await watchServices(host, uri.ask, events, stop);
  if (end) throw end.cause;
}

function pathOf(service: OfferedService, host: SepHost, isFull: boolean): string {
  return isFull ? `${printHost(host)}${targetOf(service)}` : servicePath(service);
}

function jsonOf(service: OfferedService, host: SepHost): Record<string, unknown> {
  return { ...describeService(service), state: 'alive', origin: pathOf(service, host, true) };
}

/** State, running/max and path; mode and owner are the other host's affair. */
async function printStates(
  services: readonly OfferedService[],
  host: SepHost,
  print: (service: OfferedService) => string,
): Promise<string> {
  const rows: string[] = [];
  for (const service of services) {
    const info = await askInfo((half) => dialService(host, service, half)).catch((): Info | undefined => undefined);
    const use = info && info.max > 0 ? `${info.running}/${info.max}` : '-';
    rows.push(`${info ? 'alive' : 'dead '} ${use.padStart(7)} ${print(service)}\n`);
  }
  return rows.join('');
}
