import { Failure } from '@dipus/proto/failure';
import type { Ask } from '@dipus/proto/ask';
import type { RemoteService } from '@dipus/proto/remote';
import { askTarget, parseOffered, type OfferedService } from '@dipus/proto/sep';
import { formatAddress, type ExporterAddress } from './address.ts';
import { get } from './request.ts';

const maxListBytes = 64 << 20;

/** What an exporter offers that answers an ask, in its order. What has no valid name is left out. Rejects with Failure. */
export async function listServices(host: ExporterAddress, ask: Ask): Promise<RemoteService[]> {
  const answer = await get(host, askTarget(ask), 'application/json');
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer) {
      chunks.push(chunk as Buffer);
      bytes += (chunk as Buffer).length;
      if (bytes > maxListBytes) throw new Error(`its list is longer than ${maxListBytes >> 20} MiB`);
    }
    const list: unknown = JSON.parse(Buffer.concat(chunks).toString());
    if (!Array.isArray(list)) throw new Error('its list is none');
    return list
      .map(parseOffered)
      .filter((service) => service !== undefined)
      .map(exported);
  } catch (error) {
    answer.destroy();
    throw new Failure('list', formatAddress(host), error instanceof SyntaxError ? 'its list cannot be read' : error);
  }
}

/** An exporter offers what is below `exported/`. */
export function exported(service: OfferedService): RemoteService {
  return { ...service, area: 'exported' };
}
