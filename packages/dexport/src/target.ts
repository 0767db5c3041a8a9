// What a request asks for, and whether it may ask.
import { isIP } from 'node:net';
import type { IncomingMessage } from 'node:http';
import type { Ask } from '@dipus/proto/ask';
import { parseUriAsk, UriError } from '@dipus/proto/uri';
import { Refusal } from './refusal.ts';

export interface Target {
  readonly ask: Ask;
  readonly isWatch: boolean;
}

/** Reads a raw request target by the tree's rules. Throws Refusal. */
export function readTarget(raw: string): Target {
  const { path: whole } = splitTarget(raw);
  if (!whole.startsWith('/')) throw new Refusal(400, 'the target is not a path');
  const [path = '', ...query] = whole.split('?');
  const isWatch = query.join('?') === 'watch';
  if (query.length > 0 && !isWatch) throw new Refusal(400, 'no query is known but ?watch');
  try {
    return { ask: parseUriAsk(path), isWatch };
  } catch (error) {
    if (error instanceof UriError) throw new Refusal(400, `the target ${error.message}`);
    throw error;
  }
}

/** A target is a path, or of whoever takes us for a proxy a whole URI (RFC 9112 3.2.2). */
function splitTarget(raw: string): { authority?: string; path: string } {
  const [, authority, rest] = /^http:\/\/([^/?#]*)(.*)$/i.exec(raw) ?? [];
  if (authority === undefined || rest === undefined) return { path: raw };
  return { authority, path: rest.startsWith('/') ? rest : `/${rest}` };
}

/** A page in somebody's browser is no client. Throws Refusal. */
export function checkOrigin(request: Pick<IncomingMessage, 'headers'>): void {
  if (request.headers.origin !== undefined) throw new Refusal(403, 'requests of web pages are not answered');
}

/** More than one Host is a trap for somebody on the way (RFC 9112 3.2). Throws Refusal. */
export function checkOneHost(request: Pick<IncomingMessage, 'rawHeaders'>): void {
  const hosts = request.rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === 'host');
  if (hosts.length > 1) throw new Refusal(400, 'more than one Host');
}

/** The name by which we were reached is ours, not one that somebody's DNS has bound to our address. Throws Refusal. */
export function checkHost(request: IncomingMessage, isOwnName: (name: string) => boolean): void {
  checkOneHost(request);
  const { authority } = splitTarget(request.url ?? '');
  const { host: header } = request.headers;
  if (header === undefined && request.httpVersion !== '1.0') throw new Refusal(400, 'no Host');
  const text = authority ?? header;
  if (text === undefined) return;
  const host = (/^\[([^\]]*)\](?::\d*)?$/.exec(text)?.[1] ?? text.replace(/:\d*$/, '')).toLowerCase().replace(/\.$/, '');
  if (isIP(host.split('%')[0]!) || host === 'localhost' || isOwnName(host)) return;
  throw new Refusal(421, 'this exporter has no such name: give it by dexport --name');
}

/** Over HTTP/1.0 a cut stream looks like a finished one. Throws Refusal. */
export function checkVersion(request: IncomingMessage): void {
  if (request.httpVersion === '1.0') throw new Refusal(505, 'this needs HTTP/1.1');
}

/** The body is what it says, all of it, and so is the answer. Throws Refusal. */
export function checkBody({ headers }: IncomingMessage): void {
  if (headers['content-range'] !== undefined) throw new Refusal(400, 'a part of a body is not accepted: Content-Range');
  if (hasOther(headers['transfer-encoding'], 'chunked')) throw new Refusal(400, 'no Transfer-Encoding is known but chunked');
  if (hasOther(headers['te'], 'trailers')) throw new Refusal(400, 'no TE is known but trailers');
  if (hasOther(headers.expect, '100-continue')) throw new Refusal(417, 'no Expect is known but 100-continue');
}

function hasOther(list: string | string[] | undefined, known: string): boolean {
  const named = String(list ?? '').split(',');
  return named.some((name) => !['', known].includes(name.trim().toLowerCase()));
}
