import { Failure } from '@dipus/proto/failure';
import { formatKnownLine, knownHost, parseExporter } from '@dipus/proto/known-line';
import type { Pin } from '@dipus/proto/pin';
import type { Prompter } from '@dipus/proto/prompter';
import type { HostPort } from '@dipus/proto/uri';
import type { ConfigFolder } from './config-folder.ts';
import { knownPeersPath, readKnownPeers, rememberPeer, standingOf, type KnownPeer } from './known-peers.ts';

/** As much of a prompter as it takes to ask about a key. */
export type KeyPrompter = Pick<Prompter, 'confirm' | 'tell'>;

export interface TrustOptions {
  readonly folder: ConfigFolder;
  /** The person at the terminal; undefined where there is none, and unknown keys are refused then. */
  prompter(): KeyPrompter | undefined;
  /** Which key mDNS announces for a host of the LAN; looked for only where a person is asked. */
  announced?(target: HostPort): Promise<Pin | undefined>;
  /** A key that is known by another name is good, and nobody is asked: hosts come from a list, and are what their keys are. */
  readonly isFromList?: boolean;
  /** Told of lines of known_peers that cannot be read, and where an answer cannot be remembered. */
  warn(fault: Failure): void;
  readonly stop: AbortSignal;
}

/**
 * Decides whether the key that an exporter has proved to hold is its own: by known_peers, read anew each time, or by the person at the
 * terminal, whose yes is remembered. To be called before anything is sent. Resolves with the host that it is, which is another than the
 * target only with `isFromList`. Rejects with Failure where the key is refused.
 */
export async function trustExporter(target: HostPort, pin: Pin, options: TrustOptions): Promise<string> {
  const { folder, warn, isFromList = false } = options;
  const standing = standingOf(readKnownPeers(folder, warn), target, pin);
  if (standing.is === 'revoked') throw revokedKey(target, standing.where);
  if (standing.is === 'changed') throw changedKey(target, pin, standing.known);
  if (standing.is === 'unknown' && isFromList) return knownFromList(target, standing.other);
  if (standing.is === 'unknown') await consent(target, { pin, other: standing.other }, options);
  return target.host;
}

function knownFromList(target: HostPort, other: KnownPeer | undefined): string {
  if (other) return parseExporter(other.hosts[0]!).host;
  throw refuse(target, `its key is not known, and nobody is asked; djoin ${knownHost(target)} pairs the two`);
}

/** How a host is named in messages: `seps://HOST[:PORT]`. */
export function formatExporter(target: HostPort): string {
  return `seps://${knownHost(target)}`;
}

/** The exporter does not know the key that it was shown. */
export function notAuthorized(target: HostPort, own: { readonly pin: Pin; readonly name: string }): Failure {
  const host = knownHost(target);
  return new Failure('connect to', formatExporter(target), `it does not know this key (${own.name}'s): ${own.pin}`).withHint(
    `on ${host}: dinvite ${own.name}, here: djoin ${host}; or add \`${own.pin} ${own.name}\` to its authorized_peers`,
  );
}

/** The key that an exporter shows is not to be used by anybody; `where` says so. */
export function revokedKey(target: HostPort, where: string): Failure {
  return refuse(target, `ITS KEY IS REVOKED (${where})`);
}

function refuse(target: HostPort, reason: string): Failure {
  return new Failure('trust', formatExporter(target), reason);
}

function changedKey(target: HostPort, pin: Pin, known: readonly KnownPeer[]): Failure {
  const expected = known.map((peer) => `${peer.pin} (${peer.where})`).join(', ');
  const reason = `ITS KEY HAS CHANGED, or somebody else answers: it shows ${pin} instead of the known ${expected}`;
  const lines = known.length === 1 ? 'that line' : 'those lines';
  const hint = `if its administrator confirms the new key, remove ${lines} and pair again: djoin ${knownHost(target)}`;
  return refuse(target, reason).withHint(hint);
}

async function consent(
  target: HostPort,
  { pin, other }: { pin: Pin; other: KnownPeer | undefined },
  { folder, prompter, announced, warn, stop }: TrustOptions,
): Promise<void> {
  const host = knownHost(target);
  const line = formatKnownLine(host, pin, undefined);
  const add = `add \`${line}\` to ${knownPeersPath(folder)}`;
  const hint = other ? `that is the key of ${titleOf(other)}; if this is the same host, ${add}` : `djoin ${host} pairs the two; or ${add}`;
  const failure = refuse(target, `its key is not known: ${pin}`).withHint(hint);
  const person = prompter();
  if (!person) throw failure;
  const seen = await announced?.(target);
  person.tell(`The exporter ${host} is not known. It shows the key ${pin}${announcedAs(pin, seen)}.`);
  if (other) person.tell(`That is the key of ${titleOf(other)}.`);
  if (!(await person.confirm('Is that its key, and shall it be remembered?', stop))) throw failure;
  try {
    rememberPeer(folder, target, { pin });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    warn(error);
  }
}

function titleOf({ name, hosts }: KnownPeer): string {
  return name ?? hosts[0]!;
}

function announcedAs(pin: Pin, seen: Pin | undefined): string {
  if (seen === undefined) return '';
  return seen === pin ? ' (mDNS announces the same; that proves nothing)' : ` (mDNS announces another one: ${seen})`;
}
