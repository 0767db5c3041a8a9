import type { Duplex } from 'node:stream';
import type { Info } from '@dipus/proto/control';
import { parseServiceName } from '@dipus/proto/name';
import { askInfo } from '@dipus/session/control-client';

/** A service that may be a stage, on whichever host. */
export interface Service {
  /** Its path or URI, for messages. */
  readonly path: string;
  /** Its host, as its name says. */
  readonly host: string;
  /** The URI by which stages on other hosts call it; undefined where they cannot. */
  readonly uri?: string;
  /** Its path on this host. */
  readonly file?: string;
  /** Connects to its control socket: half-open, not read yet; the caller closes it. */
  open(half: 'control' | 'data'): Promise<Duplex>;
}

/** A service that has said that it may be a stage. */
export interface Place extends Service {
  readonly info: Info;
  /** What its host is called: here, and by itself. */
  readonly hosts: readonly string[];
  /** It runs on this host, and is no import. */
  readonly isNear: boolean;
}

/** Asks a service what it is doing; undefined where it does not answer, or says that it can be no stage. */
export async function placeOf(service: Service): Promise<Place | undefined> {
  const info = await askInfo((half) => service.open(half)).catch(() => undefined);
  if (info?.pipe === undefined) return undefined;
  const { origin } = info;
  const uri = service.uri ?? (origin?.startsWith('sep://') ? origin : undefined);
  const hosts = [service.host, ...(origin === undefined ? [] : [origin, hostIn(origin)])];
  return { ...service, ...(uri !== undefined && { uri }), info, hosts, isNear: service.file !== undefined && origin === undefined };
}

/** The host in the name at the end of a URI; empty where there is none. */
function hostIn(uri: string): string {
  return parseServiceName(uri.slice(uri.lastIndexOf('/') + 1))?.host ?? '';
}

/** The URIs by which one place can call another one, the nearest way first. */
export function waysTo(to: Place, from: Place): readonly string[] {
  const near = to.isNear && from.isNear ? [`unix://${to.file!.split('/').map(encodeURIComponent).join('/')}`] : [];
  return to.uri === undefined ? near : [...near, to.uri];
}
