// Which service somebody from the network may use: ipcd says so where it runs, else what is exported is theirs.
import { dirname } from 'node:path';
import { AskError, parseAsk, type Ask } from '@dipus/proto/ask';
import { eraOfProtocol } from '@dipus/proto/ipc-frame';
import { ownNames } from '@dipus/proto/ipc-target';
import { isName } from '@dipus/proto/name';
import { formatPeer, type Peer } from '@dipus/proto/peer';
import type { Entry } from '@dipus/tree/entry';
import { findEntry, findServices } from '@dipus/tree/list';
import type { ServiceToOpen } from '@dipus/tree/open-service';
import type { Tree } from '@dipus/tree/root';
import { Refused } from './answer.ts';
import type { Framing } from './ask-daemon.ts';
import { askIpcd } from './ask-ipcd.ts';
import type { Grounds } from './local-target.ts';
import { ownDaemons } from './own-daemons.ts';
import { trustedRundir } from './rundir.ts';

/** A service that a guest may use, and what its stream consists of. */
export interface WayIn {
  readonly service: ServiceToOpen;
  readonly framing: Framing;
}

/** What `--to` names: an ask, or the path of a socket. `name`: the one that rules are asked for. */
export type NamedService = { readonly name: string } & ({ readonly ask: Ask } | { readonly file: string });

/** By these a guest could ask this host to connect on. */
const refusedNames = [...ownNames, ...Object.keys(ownDaemons)];

/**
 * What a guest that names a service may use, the first to be tried first; at least one. Where ipcd runs that is what its rules say, else
 * what is in exported/. Rejects with Refused.
 */
export async function waysIn(grounds: Grounds, name: string, peer: Peer): Promise<readonly WayIn[]> {
  if (refusedNames.includes(name)) throw new Refused('no such service');
  const path = await pathByIpcd(grounds.tree, name, peer);
  if (path !== undefined) return [wayTo(grounds, path)];
  const ask = { segments: ['exported', name], hasGlob: false };
  const found = findServices(grounds.tree, ask).filter(({ entry }) => entry.area === 'exported' && entry.name === name);
  return someOf(found.map(({ entry }) => wayOf(grounds.tree, entry)));
}

/**
 * The same for a service that whoever has started this daemon has named (`--to`): any that answers may be used, unless ipcd runs and does
 * not let this guest in.
 */
export async function waysInTo(grounds: Grounds, to: NamedService, peer: Peer): Promise<readonly WayIn[]> {
  const path = await pathByIpcd(grounds.tree, to.name, peer);
  if ('file' in to) return [wayTo(grounds, to.file, true)];
  if (path !== undefined && to.ask.segments.length === 1 && to.ask.segments[0] === to.name) return [wayTo(grounds, path)];
  return someOf(findServices(grounds.tree, to.ask).map(({ entry, named }) => wayOf(named ? undefined : grounds.tree, entry)));
}

/** The path that ipcd answers with; undefined where none runs. Rejects with Refused. */
async function pathByIpcd(tree: Tree, name: string, peer: Peer): Promise<string | undefined> {
  const path = await askIpcd(tree, `in ${name} ${formatPeer(peer)}`);
  if (path?.startsWith('/') === false) throw new Refused(`ipcd answered ${path}`);
  return path;
}

/** A path of the tree or a rundir is trusted as what is there; any other was named by a rule, or by the user. */
export function wayTo({ tree, rundirs }: Grounds, file: string, isNamed = false): WayIn {
  const entry = findEntry(tree, file);
  if (entry) return wayOf(isNamed ? undefined : tree, entry);
  for (const rundir of rundirs) {
    const trusted = trustedRundir(tree, rundir);
    if (trusted?.root === dirname(file)) return { service: { file, trustedBy: trusted }, framing: rundir.era };
  }
  return { service: { file }, framing: 'bytes' };
}

function wayOf(trustedBy: Tree | undefined, { file, protocol }: Entry): WayIn {
  return { service: { file, trustedBy }, framing: eraOfProtocol(protocol) ?? 'bytes' };
}

function someOf(ways: readonly WayIn[]): readonly WayIn[] {
  if (ways.length === 0) throw new Refused('no such service');
  return ways;
}

/** Reads an ask or an absolute path, as `--to` has it. Throws AskError. */
export function parseNamedService(text: string): NamedService {
  const name = (text.split('/').at(-1) ?? '').split('.')[0]!;
  if (!isName(name)) throw new AskError('names no single service');
  return text.startsWith('/') ? { name, file: text } : { name, ask: parseAsk(text) };
}
