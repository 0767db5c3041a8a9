// The services of another host.
import type { Context } from '@dipus/cli/run';
import { openPrompter } from '@dipus/cli/prompter';
import type { Info } from '@dipus/proto/control';
import { codeOf, Failure } from '@dipus/proto/failure';
import type { RemoteHost, RemoteService } from '@dipus/proto/remote';
import { describeService } from '@dipus/proto/sep';
import type { RemoteUri } from '@dipus/proto/uri';
import { probeRemote, watchLiving, type RemoteState } from '@dipus/remote/living';
import { openHost } from '@dipus/remote/open';
import { askInfo } from '@dipus/session/control-client';
import { readUser, type Tree, type User } from '@dipus/tree/root';
import type { Found, Looks, Named, Services, ServiceEvents } from './services.ts';

/** Paths are those of the remote host, in full they are URIs. The host is connected to when it is asked. */
export async function openRemote(uri: RemoteUri, openTree: () => Tree, { explain, stop, warn }: Context): Promise<Services> {
  const user = (): User => readUser(process.env);
  const host = await openHost(uri, { explain, warn, stop, prompter: openPrompter, user, tree: openTree });
  return {
    matches: async (looks) => {
      const services = await host.list({ ask: uri.ask, isAll: looks.isAll });
      return services.map((service) => () => findOne(host, service, looks));
    },
    watch: (isAll, events, stopWatch) => watch({ host, uri, isAll, warn }, events, stopWatch),
    close: () => host.close(),
  };
}

/** Undefined for what is dead, unless all is wanted. */
async function findOne(host: RemoteHost, service: RemoteService, looks: Looks): Promise<Found | undefined> {
  const named = { ...nameOf(host, service), origin: host.uriOf(service) };
  if (service.untrusted !== undefined && looks.isAll) return { ...named, state: 'untrusted', untrusted: service.untrusted };
  const withInfo = looks.withInfo && (service.hasControl || host.hasExporter);
  const info = withInfo ? await infoOf(host, service) : undefined;
  if (typeof info === 'object') return { ...named, state: 'alive', info };
  const state = info !== undefined && host.hasExporter ? info : await probeRemote(host, service);
  return state === 'dead' && !looks.isAll && !host.hasExporter ? undefined : { ...named, state };
}

/** What it tells, or what its refusal says of it. */
async function infoOf(host: RemoteHost, service: RemoteService): Promise<Info | RemoteState> {
  try {
    return (await askInfo((half) => host.dial(service, half))) ?? 'dead';
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return 'busy';
    return codeOf(error) === 'EACCES' ? 'forbidden' : 'dead';
  }
}

interface Watching {
  readonly host: RemoteHost;
  readonly uri: RemoteUri;
  readonly isAll: boolean;
  readonly warn: Context['warn'];
}

async function watch({ host, uri, isAll, warn }: Watching, events: ServiceEvents, stop: AbortSignal): Promise<void> {
  const known = new Map<string, Named>();
  const result = await watchLiving(
    host,
    { ask: uri.ask, isAll },
    {
      added: (service) => {
        const named = nameOf(host, service);
        known.set(named.path, named);
        events.added(named);
      },
      removed: (path) => {
        const named = known.get(path);
        if (named && known.delete(path)) events.removed(named);
      },
      ready: () => {},
      trouble: (reason) => host.hasExporter || warn(new Failure('watch', host.printed, reason)),
      stop,
    },
  );
  if (result) throw result.cause;
}

function nameOf(host: RemoteHost, service: RemoteService): Named {
  const path = host.pathOf(service);
  // An exporter offers one area; elsewhere it belongs to the name. What only a URI names has none.
  const where = { ...(!host.hasExporter && { area: service.area }), ...(service.area === '' && { path }) };
  return { path, full: host.uriOf(service), members: () => ({ ...describeService(service), ...where }) };
}
