import { lstatSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Failure, UsageError } from '@dipus/cli/errors';
import { AskError, parseAsk } from '@dipus/proto/ask';
import { codeOf } from '@dipus/proto/failure';
import { controlName } from '@dipus/proto/name';
import { isUri, parseUri, UriError } from '@dipus/proto/uri';
import { userName } from '@dipus/tree/accounts';
import { findServices, type Entry } from '@dipus/tree/list';
import type { Tree } from '@dipus/tree/root';

/** A socket to try. */
export interface Candidate {
  readonly path: string;
  /** The control socket beside it, if there is one. */
  readonly control?: string;
}

export interface Candidates {
  readonly candidates: readonly Candidate[];
  /** Matches that may not be picked, with the reason. */
  readonly untrusted: readonly string[];
}

/** What may be opened for a SERVICE, the first match first. Throws UsageError and Failure. */
export function findCandidates(service: string, openTree: () => Tree, explain: (message: string) => void): Candidates {
  const path = pathOf(service);
  if (path !== undefined) return { candidates: [candidateAt(path)], untrusted: [] };
  const ask = readAsk(service);
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

/** The path that a SERVICE is, if it is one: absolute, or unix:///PATH. */
function pathOf(service: string): string | undefined {
  if (service.startsWith('/')) return resolve(service);
  if (!isUri(service)) return undefined;
  try {
    const uri = parseUri(service);
    if (uri.scheme === 'unix') return resolve(uri.path);
    throw new Failure('open', service, `this dcat knows no ${uri.scheme}:// services`);
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
