import type { Duplex } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import type { Context } from '@dipus/cli/run';
import { openPrompter } from '@dipus/cli/prompter';
import { readService } from '@dipus/cli/service-operand';
import { answer, type Ask, type ServiceInArea } from '@dipus/proto/ask';
import type { SocketKind } from '@dipus/proto/sep';
import type { RemoteUri } from '@dipus/proto/uri';
import { openHost } from '@dipus/remote/open';
import { userName } from '@dipus/tree/accounts';
import { findServices } from '@dipus/tree/list';
import { hasOwnControl, openService, type ServiceToOpen } from '@dipus/tree/open-service';
import { readUser, type Tree, type User } from '@dipus/tree/root';
import { findShared } from './shared.ts';

/** A service to try, on whichever host it is. */
export interface Candidate {
  /** Its path or URI, for messages. */
  readonly path: string;
  /** Whether sessions can be begun with it; else only its plain socket can be opened. */
  readonly kind: 'session' | 'plain';
  /** The other end is on another host: a reset is an error, and only the answer tells when a plain service has ended. */
  readonly isRemote: boolean;
  /** How well it answers; lower ranks come first (dipus(7), Asking for a service). */
  readonly rank: number;
  /** Connects to it, as a half of a session or (undefined) to its plain socket; trust is checked then. The caller closes it. */
  readonly open: (half: SocketKind | undefined) => Promise<Duplex>;
}

/** A match that may not be picked. */
export interface Untrusted {
  readonly path: string;
  readonly reason: string;
}

export interface Candidates {
  readonly candidates: readonly Candidate[];
  /** Looks for matches that may not be picked. */
  untrusted(): readonly Untrusted[];
  /** Ends the connection to another host, where there is one that all its services share. */
  close(): void;
}

/** What may be opened for a SERVICE, the first match first; to be closed when it is done with. Rejects with UsageError and Failure. */
export async function findCandidates(service: string, openTree: () => Tree, context: Context): Promise<Candidates> {
  const wanted = readService(service);
  if ('scheme' in wanted) return findRemote(wanted, openTree, context);
  if ('file' in wanted) return { candidates: [candidateAt(wanted.file)], untrusted: () => [], close: () => {} };
  // By it a name may lead elsewhere; without it that costs nothing.
  const routed = process.env['IPC_NETWORK'] ? await findRouted(service, openTree, context) : undefined;
  return routed ?? findLocal(wanted, openTree, context.explain);
}

/** Where a name leads by IPC_NETWORK; undefined where that says nothing of it. */
async function findRouted(service: string, openTree: () => Tree, context: Context): Promise<Candidates | undefined> {
  const { wayOut } = await import('@dipus/ipc/way-out');
  let way;
  try {
    way = await wayOut(service, { tree: openTree(), environment: process.env, explain: context.explain });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // As one that is there, but not for us, or that is gone.
    const refused: Candidate = { path: service, kind: 'plain', isRemote: false, rank: 0, open: () => Promise.reject(error) };
    return { candidates: [refused], untrusted: () => [], close: () => {} };
  }
  if (!way) return undefined;
  if ('uri' in way) return findCandidates(way.uri, openTree, context);
  const candidates = way.services.map((one) => localCandidate(one, hasOwnControl(one.file), 0));
  return { candidates, untrusted: () => [], close: () => {} };
}

function findLocal(ask: Ask, openTree: () => Tree, explain: (message: string) => void): Candidates {
  const tree = openTree();
  const found = findServices(tree, ask);
  for (const { entry, named } of found) {
    if (named && entry.uid !== tree.trust.uid && entry.uid !== 0) explain(`${entry.file} belongs to ${userName(entry.uid)}`);
  }
  return {
    candidates: found.map(({ entry, named }) =>
      localCandidate({ file: entry.file, trustedBy: named ? undefined : tree }, entry.hasControl, rankOf(ask, entry)),
    ),
    untrusted: () => untrustedOf(tree, ask),
    close: () => {},
  };
}

function untrustedOf(tree: Tree, ask: Ask): Untrusted[] {
  return findServices(tree, ask, true)
    .filter(({ entry, named }) => !named && entry.untrusted !== undefined)
    .map(({ entry }) => ({ path: entry.file, reason: entry.untrusted! }));
}

/** What another host has; of an ssh host what is imported already, if anything is: that shares the importer's connection. */
async function findRemote(uri: RemoteUri, openTree: () => Tree, { explain, warn, stop }: Context): Promise<Candidates> {
  const shared = uri.scheme === 'ssh' ? await findShared(uri, openTree) : undefined;
  if (shared && shared.entries.length > 0) {
    explain('imported already: using its connection');
    const { entries, tree } = shared;
    const candidates = entries.map(({ file }, at) => localCandidate({ file, trustedBy: tree }, true, at));
    return { candidates, untrusted: () => [], close: () => {} };
  }
  const user = (): User => readUser(process.env);
  const host = await openHost(uri, { explain, warn, stop, prompter: openPrompter, user, tree: openTree });
  try {
    const services = await host.list({ ask: uri.ask, isAll: false });
    const candidates = services.map((service): Candidate => ({
      path: host.uriOf(service),
      kind: service.hasControl || host.hasExporter ? 'session' : 'plain',
      isRemote: true,
      rank: rankOf(uri.ask, service),
      open: (half) => host.dial(service, half),
    }));
    return { candidates, untrusted: () => [], close: () => host.close() };
  } catch (error) {
    host.close();
    throw error;
  }
}

function candidateAt(path: string): Candidate {
  return localCandidate({ file: path }, hasOwnControl(path), 0);
}

function localCandidate(service: ServiceToOpen, hasControl: boolean, rank: number): Candidate {
  const open: Candidate['open'] = (half) => openService(service, half === undefined ? 'plain' : 'control');
  return { path: service.file, kind: hasControl ? 'session' : 'plain', isRemote: false, rank, open };
}

function rankOf(ask: Ask, service: ServiceInArea): number {
  return answer(ask, service)?.rank ?? 0;
}
