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
  if (!raw.startsWith('/')) throw new Refusal(400, 'the target is not a path');
  const [path = '', ...query] = raw.split('?');
  const isWatch = query.join('?') === 'watch';
  if (query.length > 0 && !isWatch) throw new Refusal(400, 'no query is known but ?watch');
  try {
    return { ask: parseUriAsk(path), isWatch };
  } catch (error) {
    if (error instanceof UriError) throw new Refusal(400, `the target ${error.message}`);
    throw error;
  }
}

/** A page in somebody's browser is no client. Throws Refusal. */
export function checkOrigin(request: IncomingMessage): void {
  if (request.headers.origin !== undefined) throw new Refusal(403, 'requests of web pages are not answered');
}

/** The name by which we were reached is ours, not one that somebody's DNS has bound to our address. Throws Refusal. */
export function checkHost(request: IncomingMessage, isOwnName: (name: string) => boolean): void {
  const text = request.headers.host;
  if (text === undefined) {
    if (request.httpVersion === '1.0') return;
    throw new Refusal(400, 'no Host');
  }
  const host = (/^\[([^\]]*)\](?::\d*)?$/.exec(text)?.[1] ?? text.replace(/:\d*$/, '')).toLowerCase().replace(/\.$/, '');
  if (isIP(host.split('%')[0]!) || host === 'localhost' || isOwnName(host)) return;
  throw new Refusal(421, 'this exporter has no such name: give it by dexport --name');
}

/** Over HTTP/1.0 a cut stream looks like a finished one. Throws Refusal. */
export function checkVersion(request: IncomingMessage): void {
  if (request.httpVersion === '1.0') throw new Refusal(505, 'this needs HTTP/1.1');
}
