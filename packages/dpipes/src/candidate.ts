import type { Duplex } from 'node:stream';
import type { Info } from '@dipus/proto/control';
import { parseServiceName } from '@dipus/proto/name';
import type { LinkOrigin } from '@dipus/proto/pipe-link';
import { isHostUri, parseUri, sepPort } from '@dipus/proto/uri';
import { askInfo } from '@dipus/session/control-client';

const sshPort = 22;

/** How this host reaches a service: in its own tree, over the network as it is, or encrypted. */
export type Reach = 'here' | 'plain' | 'secure';

/** A service that may be a stage, on whichever host. */
export interface Service {
  /** Its path or URI, for messages. */
  readonly path: string;
  /** Its host, as its name says. */
  readonly host: string;
  /** The URI by which it was found on another host. */
  readonly uri?: string;
  /** Its path on this host. */
  readonly file?: string;
  /** Connects to its control socket: half-open, not read yet; the caller closes it. */
  open(half: 'control' | 'data'): Promise<Duplex>;
}

/** A service that has said that it may be a stage. */
export interface Candidate extends Service {
  readonly info: Info;
  /** What its host is called: here, and by itself. */
  readonly hosts: readonly string[];
  readonly reach: Reach;
}

/** Asks a service what it is doing; undefined where it can be no stage, and `passed` is told why. */
export async function candidateOf(service: Service, passed: (reason: unknown) => void): Promise<Candidate | undefined> {
  let info: Info | undefined;
  try {
    info = await askInfo((half) => service.open(half));
  } catch (error) {
    passed(error);
    return undefined;
  }
  if (info?.pipe === undefined) {
    passed(info ? 'it can be no stage' : 'it does not say what it is doing');
    return undefined;
  }
  const { origin } = info;
  // Of an import, where it leads; its host may have it from somewhere else, which this one does not know.
  const uri = service.uri ?? origin;
  const hosts = [service.host, ...(origin === undefined ? [] : [origin, hostIn(origin)])];
  return { ...service, ...(uri !== undefined && { uri }), info, hosts, reach: reachOf(uri) };
}

function reachOf(uri: string | undefined): Reach {
  if (uri === undefined) return 'here';
  return /^(?:seps|ssh):/.test(uri) ? 'secure' : 'plain';
}

/** The host in the name at the end of a path or URI; empty where there is none. */
export function hostIn(uri: string): string {
  return parseServiceName(uri.slice(uri.lastIndexOf('/') + 1))?.host ?? '';
}

/** The URI of a socket, by its path. */
export function uriOf(path: string): string {
  return `unix://${path.split('/').map(encodeURIComponent).join('/')}`;
}

/** What the next stage is told of where its input comes from. */
export function originOf({ uri, hosts }: Candidate): LinkOrigin {
  const parsed = uri === undefined ? undefined : parseUri(uri);
  if (!parsed || !isHostUri(parsed)) return { addr: hosts.find(Boolean) ?? 'localhost', port: null };
  return { addr: parsed.host, port: parsed.port ?? (parsed.scheme === 'ssh' ? sshPort : sepPort) };
}

/** The URIs by which one candidate can call another one. */
export function waysTo(to: Candidate, from: Candidate): readonly string[] {
  if (isHere(to, from)) return [uriOf(to.file!)];
  return to.uri !== undefined && /^seps?:/.test(to.uri) ? [to.uri] : [];
}

/** Whether a link between two candidates is encrypted: what this host reaches so must not say it to anybody on the way. */
export function isSecret(one: Candidate, other: Candidate): boolean {
  return !isHere(one, other) && one.reach !== 'plain' && other.reach !== 'plain';
}

function isHere(one: Candidate, other: Candidate): boolean {
  return one.reach === 'here' && other.reach === 'here';
}
