// Where the connections of a service of dlink lead.
import { openPrompter } from '@dipus/cli/prompter';
import type { Context } from '@dipus/cli/run';
import { framed } from '@dipus/ipc/framed';
import { openUri } from '@dipus/ipc/open-uri';
import { codeOf, Failure } from '@dipus/proto/failure';
import { eraOfProtocol } from '@dipus/proto/ipc-frame';
import type { RemoteHost, RemoteService } from '@dipus/proto/remote';
import type { DaemonUri, HostUri } from '@dipus/proto/uri';
import { endpointOf } from '@dipus/relay/endpoint';
import { openHost } from '@dipus/remote/open';
import type { ProxyTarget } from '@dipus/session/service-proxy';
import { hasOwnControl, openService } from '@dipus/tree/open-service';
import { readUser, type Tree, type User } from '@dipus/tree/root';
import type { Arguments } from './args.ts';

export interface Target extends ProxyTarget {
  /** Ends what it holds open besides connections. */
  close(): void;
}

/** What a URI leads to. Nothing is connected yet. Rejects with Failure. */
export async function openTarget(tree: Tree, args: Arguments, context: Context): Promise<Target> {
  const { linked, uri } = args;
  if (linked.scheme === 'unix') return fileTarget(uri, linked.path);
  if (linked.scheme === 'daemon') return daemonTarget(tree, linked, { protocol: args.protocol, context });
  const { explain, warn, stop } = context;
  const user = (): User => readUser(process.env);
  const host = await openHost(linked, { explain, warn, stop, prompter: openPrompter, user, tree: () => tree });
  return hostTarget(uri, linked, host);
}

/** A socket that the user has named, which is consent. */
function fileTarget(uri: string, file: string): Target {
  return {
    uri,
    hasSessions: () => hasOwnControl(file),
    dial: async (kind) => ({ remote: { socket: await openService({ file }, kind === undefined ? 'plain' : 'control'), kind: 'unix' } }),
    close: () => {},
  };
}

function daemonTarget(tree: Tree, { daemon, text }: DaemonUri, { protocol, context }: { protocol: string; context: Context }): Target {
  const era = eraOfProtocol(protocol);
  return {
    uri: text,
    hasSessions: () => false,
    dial: async () => {
      const opened = await openUri(tree, { scheme: daemon, uri: text, framing: era ?? 'bytes' }, context);
      // What keeps messages whole is a daemon, or whole datagrams.
      return { remote: era && opened.kind === 'tcp' ? { socket: framed(opened.socket, era), kind: 'channel' } : opened };
    },
    close: () => {},
  };
}

/** The first match on another host, looked for again when it cannot be reached where it was. */
function hostTarget(uri: string, { ask }: HostUri, host: RemoteHost): Target {
  let found: RemoteService | undefined;
  const find = async (): Promise<RemoteService> => {
    found ??= (await host.list({ ask, isAll: false }))[0];
    if (!found) throw new Failure('open', `${host.printed}/${ask.segments.join('/')}`, 'no such service');
    return found;
  };
  return {
    uri,
    get peer() {
      return host.peer;
    },
    hasSessions: () => {
      if (host.hasExporter) return true;
      return find().then(
        ({ hasControl }) => hasControl,
        () => false,
      );
    },
    dial: async (kind) => {
      const service = await find();
      try {
        return { remote: endpointOf(await host.dial(service, kind)) };
      } catch (error) {
        if (found === service) found = undefined;
        // It may have come back under another number.
        if (kind === 'data' || !['ENOENT', 'ECONNREFUSED'].includes(codeOf(error) ?? '')) throw error;
        const other = await find();
        if (host.pathOf(other) === host.pathOf(service)) throw error;
        return { remote: endpointOf(await host.dial(other, kind)) };
      }
    },
    close: () => host.close(),
  };
}
