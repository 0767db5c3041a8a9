import { lstatSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import { UsageError } from '@dipus/cli/errors';
import type { Context } from '@dipus/cli/run';
import { openTerminal } from '@dipus/cli/terminal';
import { AskError, parseAsk, type Ask } from '@dipus/proto/ask';
import { codeOf } from '@dipus/proto/failure';
import { controlName } from '@dipus/proto/name';
import { isUri, parseUri, UriError, type HostUri, type Uri } from '@dipus/proto/uri';
import { openHost } from '@dipus/remote/open';
import type { Dial } from '@dipus/session/control-client';
import { userName } from '@dipus/tree/accounts';
import { findServices, type Entry } from '@dipus/tree/list';
import type { Tree } from '@dipus/tree/root';
import { findShared } from './shared.ts';

/** A socket to try. */
export interface Candidate {
  readonly path: string;
  /** The control socket beside it, if there is one. */
  readonly control?: string;
  /** How to reach the service on another host; there is no file then. */
  readonly dial?: Dial;
  /** The same where nobody answers for a service without a control socket. */
  readonly dialPlain?: () => Promise<Duplex>;
}

export interface Candidates {
  readonly candidates: readonly Candidate[];
  /** Matches that may not be picked, with the reason. */
  readonly untrusted: readonly string[];
  /** Ends the connection to another host, where there is one that all its services share. */
  close(): void;
}

/** What may be opened for a SERVICE, the first match first; to be closed when it is done with. Rejects with UsageError and Failure. */
export async function findCandidates(service: string, openTree: () => Tree, context: Context): Promise<Candidates> {
  const uri = readUri(service);
  if (uri && uri.scheme !== 'unix') return findRemote(uri, openTree, context);
  const path = uri ? resolve(uri.path) : service.startsWith('/') ? resolve(service) : undefined;
  if (path !== undefined) return { candidates: [candidateAt(path)], untrusted: [], close: () => {} };
  return findLocal(readAsk(service), openTree, context.explain);
}

function findLocal(ask: Ask, openTree: () => Tree, explain: (message: string) => void): Candidates {
  const tree = openTree();
  const found = findServices(tree, ask, true);
  const isUsable = (entry: Entry, named: boolean): boolean => named || entry.untrusted === undefined;
  for (const { entry, named } of found) {
    if (named && entry.stat.uid !== tree.trust.uid && entry.stat.uid !== 0) explain(`${entry.file} belongs to ${userName(entry.stat.uid)}`);
  }
  return {
    candidates: found.filter(({ entry, named }) => isUsable(entry, named)).map(({ entry }) => candidateOf(entry)),
    untrusted: found.filter(({ entry, named }) => !isUsable(entry, named)).map(({ entry }) => `${entry.file}: ${entry.untrusted}`),
    close: () => {},
  };
}

/** What another host has; of an ssh host what is imported already, if anything is: that shares the importer's connection. */
async function findRemote(uri: HostUri, openTree: () => Tree, { explain, stop }: Context): Promise<Candidates> {
  const shared = uri.scheme === 'ssh' ? await findShared(uri, openTree) : [];
  if (shared.length > 0) {
    explain('imported already: using its connection');
    return { candidates: shared.map(candidateOf), untrusted: [], close: () => {} };
  }
  const host = await openHost(uri, { explain, stop, terminal: openTerminal });
  try {
    const services = await host.list({ ask: uri.ask, isAll: false });
    const candidates = services.map((service): Candidate => {
      const path = host.uriOf(service);
      if (!service.control && !host.hasExporter) return { path, dialPlain: () => host.dial(service, undefined) };
      return { path, dial: (half) => host.dial(service, half) };
    });
    return { candidates, untrusted: [], close: () => host.close() };
  } catch (error) {
    host.close();
    throw error;
  }
}

function readUri(service: string): Uri | undefined {
  if (!isUri(service)) return undefined;
  try {
    return parseUri(service);
  } catch (error) {
    if (error instanceof UriError) throw new UsageError(`SERVICE ${JSON.stringify(service)} ${error.message}`);
    throw error;
  }
}

function readAsk(service: string): ReturnType<typeof parseAsk> {
  try {
    return parseAsk(service);
  } catch (error) {
    if (error instanceof AskError) throw new UsageError(`SERVICE ${JSON.stringify(service)} ${error.message}`);
    throw error;
  }
}

function candidateAt(path: string): Candidate {
  const control = `${dirname(path)}/${controlName(path.slice(path.lastIndexOf('/') + 1))}`;
  return isSocket(control) ? { path, control } : { path };
}

function candidateOf(entry: Entry): Candidate {
  if (!entry.hasControl) return { path: entry.file };
  return { path: entry.file, control: `${dirname(entry.file)}/${controlName(entry.file.slice(entry.file.lastIndexOf('/') + 1))}` };
}

function isSocket(path: string): boolean {
  try {
    return lstatSync(path).isSocket();
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return false;
  }
}
