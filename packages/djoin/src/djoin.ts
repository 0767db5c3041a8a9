import type { LookupFunction } from 'node:net';
import { Failure } from '@dipus/proto/failure';
import { knownHost } from '@dipus/proto/known-line';
import { asPeerName } from '@dipus/proto/peers-file';
import { appendGrant, readAuthorizedPeers, remarksOn, usersOfExporter } from '@dipus/seps/authorized-peers';
import type { ConfigFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { join } from '@dipus/seps/join';
import { peersOf, readKnownPeers, rememberPeer, type KnownPeer } from '@dipus/seps/known-peers';
import { revokedKey } from '@dipus/seps/trust-exporter';
import type { Arguments } from './args.ts';

/** What the work of djoin gets from its command. */
export interface JoinContext {
  readonly stop: AbortSignal;
  print(lines: string): void;
  warn(error: unknown): void;
}

export interface DjoinOptions {
  readonly context: JoinContext;
  readonly folder: ConfigFolder;
  readonly user: { readonly uid: number; readonly name: string };
  userId(name: string): number | undefined;
  readonly ownHost: string;
  readonly lookup: LookupFunction;
  /** Undefined where that was stopped. */
  readCode(): Promise<string | undefined>;
}

/** Pairs with an exporter and writes that down. Rejects with Failure, and nothing is written here then. */
export async function joinExporter({ target, name, isBoth, options, grant }: Arguments, given: DjoinOptions): Promise<void> {
  const { context, folder, user, userId, ownHost, lookup, readCode } = given;
  const host = knownHost(target);
  const why = isBoth ? usersOfExporter(user, userId)(grant.user) : undefined;
  if (why !== undefined) throw new Failure('authorise', name ?? host, why);
  const known = readKnownPeers(folder, context.warn);
  const identity = loadIdentity(folder);
  const code = await readCode();
  if (code === undefined) return;
  const pin = await join(target, {
    identity,
    code,
    name: asPeerName(ownHost),
    lookup,
    stop: context.stop,
    check: (shown) => {
      const where = known.revoked.get(shown);
      if (where !== undefined) throw revokedKey(target, where);
    },
  });
  rememberPeer(folder, target, { pin, ...(name !== undefined && { name }) });
  context.print(`+ ${name ?? host} ${pin}\n`);
  for (const other of otherKeys(peersOf(known, target), pin)) {
    context.warn(`${other.where} has another key of ${host}: remove that line if that one is no longer used`);
  }
  if (!isBoth) return;
  const line = { pin, name: name!, options };
  appendGrant(folder, line);
  for (const remark of remarksOn(readAuthorizedPeers(folder, { warn: () => {} }), line)) context.warn(`authorized_peers: ${remark}`);
}

function otherKeys(peers: readonly KnownPeer[], pin: string): KnownPeer[] {
  return peers.filter((peer) => peer.pin !== pin);
}
