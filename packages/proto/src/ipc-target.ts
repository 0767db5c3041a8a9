/** Where a service that was asked for is: TARGET of ipcd.rules(5). */
import { AskError, parseAsk, type Ask } from './ask.ts';
import { isName } from './name.ts';
import { parsePeer, PeerError, type Peer } from './peer.ts';
import { isPrintable, printable } from './printable.ts';

export type IpcTarget =
  /** What answers an ask of the tree; a single name may also be a socket of a rundir, which comes first. */
  | { readonly kind: 'service'; readonly ask: Ask; readonly name?: string; readonly peer: Peer }
  | { readonly kind: 'path'; readonly path: string; readonly peer: Peer }
  /** What a protocol daemon opens. */
  | { readonly kind: 'uri'; readonly scheme: string; readonly uri: string; readonly peer: Peer };

/** A target that cannot be; the message is the reason. */
export class TargetError extends Error {}

// ipcd's own sockets: a connection to them would be an ask of ipcd's own.
export const ownNames: readonly string[] = ['ipc', 'network', 'ipcd'];

/** Reads a NAME or ask, `unix://NAME`, `unix:///NAME`, `unix:///A/B` or a URI of another scheme. Throws TargetError. */
export function parseTarget(text: string): IpcTarget {
  if (!isPrintable(text)) throw new TargetError('has control characters');
  if (text.split('/').includes('..')) throw new TargetError('has a part ..');
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+-]*):\/\/(.*)$/.exec(text) ?? [];
  if (scheme === undefined) return serviceTarget(text);
  if (scheme !== 'unix') return { kind: 'uri', scheme, uri: text, peer: readPeer(text) };
  const path = rest.replace(/\/+/g, '/');
  const last = path.slice(path.lastIndexOf('/') + 1);
  if (path.startsWith('/') && path.indexOf('/', 1) > 0) {
    if (last === '' || ownNames.includes(last)) throw new TargetError(`leads to ${printable(path)}`);
    return { kind: 'path', path, peer: { scheme: 'unix', host: path } };
  }
  if (!isName(last)) throw new TargetError('names no service');
  return serviceTarget(last);
}

function serviceTarget(text: string): IpcTarget {
  try {
    const ask = parseAsk(text);
    const last = ask.segments.at(-1);
    if (last === undefined) throw new TargetError('names no service');
    if (ownNames.some((name) => last === name || last.startsWith(`${name}.`))) throw new TargetError(`leads to ${printable(last)}`);
    const isAlone = ask.segments.length === 1 && isName(last);
    return { kind: 'service', ask, ...(isAlone && { name: last }), peer: { scheme: 'unix', host: text } };
  } catch (error) {
    if (error instanceof AskError) throw new TargetError(error.message);
    throw error;
  }
}

function readPeer(uri: string): Peer {
  try {
    return parsePeer(uri);
  } catch (error) {
    if (error instanceof PeerError) throw new TargetError(error.message);
    throw error;
  }
}
