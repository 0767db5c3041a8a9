import { lstatSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Failure, UsageError } from '@dipus/cli/errors';
import { AskError, parseAsk, type Ask } from '@dipus/proto/ask';
import { codeOf } from '@dipus/proto/failure';
import { controlName } from '@dipus/proto/name';
import { targetOf } from '@dipus/proto/sep';
import { isUri, parseUri, UriError, type HostUri, type Uri } from '@dipus/proto/uri';
import { hostOf, printHost } from '@dipus/sep/host';
import { listServices } from '@dipus/sep/list';
import { localLookup } from '@dipus/sep/local-lookup';
import { dialService } from '@dipus/sep/request';
import type { Dial } from '@dipus/session/control-client';
import { userName } from '@dipus/tree/accounts';
import { findServices, type Entry } from '@dipus/tree/list';
import type { Tree } from '@dipus/tree/root';

/** A socket to try. */
export interface Candidate {
  readonly path: string;
  /** The control socket beside it, if there is one. */
  readonly control?: string;
  /** How to reach the service on another host; there is no file then. */
  readonly dial?: Dial;
}

export interface Candidates {
  readonly candidates: readonly Candidate[];
  /** Matches that may not be picked, with the reason. */
  readonly untrusted: readonly string[];
}

/** What may be opened for a SERVICE, the first match first. Rejects with UsageError and Failure. */
export async function findCandidates(service: string, openTree: () => Tree, explain: (message: string) => void): Promise<Candidates> {
  const uri = readUri(service);
  if (uri && uri.scheme !== 'unix') return findRemote(service, uri);
  const path = uri ? resolve(uri.path) : service.startsWith('/') ? resolve(service) : undefined;
  if (path !== undefined) return { candidates: [candidateAt(path)], untrusted: [] };
  return findLocal(readAsk(service), openTree, explain);
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
  };
}

/** What another host offers; its exporter answers for services without a control socket. */
async function findRemote(text: string, uri: HostUri): Promise<Candidates> {
  if (uri.scheme !== 'sep') throw new Failure('open', text, `this dcat knows no ${uri.scheme}:// services`);
  const host = hostOf(
    uri,
    localLookup(async (...asked) => (await import('@dipus/mdns/resolve')).resolveLocal(...asked)),
  );
  const services = await listServices(host, uri.ask);
  const candidates = services.map((service) => ({
    path: `${printHost(host)}${targetOf(service)}`,
    dial: (half: 'control' | 'data') => dialService(host, service, half),
  }));
  return { candidates, untrusted: [] };
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
