import { Failure } from '@dipus/proto/failure';
import type { Ask } from '@dipus/proto/ask';
import type { RemoteService } from '@dipus/proto/remote';
import { askTarget, parseOffered, type OfferedService } from '@dipus/proto/sep';
import { timing } from '@dipus/proto/timing';
import { formatAddress, type ExporterAddress } from './address.ts';
import { readBody } from './body.ts';
import { get } from './request.ts';

const maxListBytes = 8 << 20;
const maxDepth = 8;
const quote = 0x22;
const backslash = 0x5c;
// Of arrays and objects.
const openings = [0x5b, 0x7b];
const closings = [0x5d, 0x7d];

/** What an exporter offers that answers an ask, in its order. What has no valid name is left out. Rejects with Failure. */
export async function listServices(host: ExporterAddress, ask: Ask): Promise<RemoteService[]> {
  const answer = await get(host, askTarget(ask), 'application/json');
  try {
    const body = await readBody(answer, { maxBytes: maxListBytes, ms: timing.listMs });
    if (isDeep(body)) throw new Error('its list cannot be read');
    const list: unknown = JSON.parse(body.toString());
    if (!Array.isArray(list)) throw new Error('it did not answer with a list');
    return list
      .map(parseOffered)
      .filter((service) => service !== undefined)
      .map(exported);
  } catch (error) {
    throw new Failure('list the services of', formatAddress(host), error instanceof SyntaxError ? 'its list cannot be read' : error);
  }
}

/** Whether JSON nests deeper than any list, each level of which would cost memory. */
function isDeep(json: Buffer): boolean {
  let depth = 0;
  let isInText = false;
  for (let at = 0; at < json.length; at++) {
    const char = json[at];
    if (char === quote) isInText = !isInText;
    else if (isInText && char === backslash) at++;
    else if (!isInText && openings.includes(char!) && ++depth > maxDepth) return true;
    else if (!isInText && closings.includes(char!)) depth--;
  }
  return false;
}

/** An exporter offers what is below `exported/`. */
export function exported(service: OfferedService): RemoteService {
  return { ...service, area: 'exported' };
}
