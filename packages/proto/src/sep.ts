/** SEP/1 in text: what the requests and answers of sep(5) are made of. */
import type { Ask } from './ask.ts';
import { parseServicePath, servicePath, type Service } from './name.ts';

/** A service as an exporter lists it. `hasControl`: it has a control socket of its own. */
export interface OfferedService extends Service {
  readonly hasControl: boolean;
}

/** One line of a watch. */
export type WatchEvent =
  | { readonly event: 'add'; readonly service: OfferedService }
  | { readonly event: 'remove'; readonly path: string }
  | { readonly event: 'ready' | 'ping' };

/** Which connection of a session an upgrade is: the header Sep-Socket. Without it, the plain socket is meant. */
export type SocketKind = 'control' | 'data';

export const sepProtocol = 'sep';
export const versionHeader = 'Sep-Version';
export const sepVersion = '1';
export const socketHeader = 'Sep-Socket';
export const exitTrailer = 'Sep-Exit';
/** The longest line of a list or watch that is read. */
export const maxLineBytes = 65_536;

/** The object that stands for a service in a list. */
export function describeService(service: OfferedService): Record<string, unknown> {
  const { protocol, name, host, instance, hasControl } = service;
  return { path: servicePath(service), protocol, name, host, instance, control: hasControl };
}

/** Reads such an object. Only the path says what the service is; undefined where that is none. */
export function parseOffered(value: unknown): OfferedService | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { path, control } = value as Record<string, unknown>;
  if (typeof path !== 'string') return undefined;
  const service = parseServicePath(path);
  return service && { ...service, hasControl: control === true };
}

export function formatWatchEvent(event: WatchEvent): string {
  if (event.event === 'add') return `${JSON.stringify({ event: 'add', ...describeService(event.service) })}\n`;
  return `${JSON.stringify(event)}\n`;
}

/**
 * Reads one line of a watch; 'unknown' for an event that a later version may add or a service whose name cannot be one; undefined where the
 * line is no event at all.
 */
export function parseWatchEvent(line: string): WatchEvent | 'unknown' | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  const { event, path } = (value ?? {}) as Record<string, unknown>;
  if (typeof event !== 'string') return undefined;
  if (event === 'ready' || event === 'ping') return { event };
  if (event === 'remove') return typeof path === 'string' && parseServicePath(path) ? { event, path } : 'unknown';
  const service = event === 'add' ? parseOffered(value) : undefined;
  return service ? { event: 'add', service } : 'unknown';
}

/** The target of a request for a service. */
export function targetOf(service: Service): string {
  return `/${servicePath(service).split('/').map(encodeURIComponent).join('/')}`;
}

/** The target of a request for what answers an ask. */
export function askTarget(ask: Ask): string {
  return `/${ask.segments.map(encodeURIComponent).join('/')}`;
}
