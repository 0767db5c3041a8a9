import { Socket } from 'node:net';
import { parseServicePath } from '@dipus/proto/name';
import { parseUri } from '@dipus/proto/uri';
import { openHost, type OpenOptions } from '@dipus/remote/open';
import { openService } from '@dipus/tree/open-service';

/**
 * Connects to the control socket of the service at a URI, for one link: `unix:///PATH` or one of another host, and nothing but a service.
 * Rejects with the reason.
 */
export async function dialStage(uri: string, options: OpenOptions): Promise<Socket> {
  const parsed = parseUri(uri);
  if (parsed.scheme === 'unix') return openService({ file: parsed.path }, 'control');
  if (parsed.scheme !== 'sep') throw new Error(`a link by ${parsed.scheme} is not a connection of its own`);
  const service = parseServicePath(parsed.ask.segments.join('/'));
  if (!service) throw new Error('it names no service');
  const host = await openHost(parsed, options);
  const connection = await host.dial({ ...service, area: 'exported', hasControl: true }, 'data');
  if (connection instanceof Socket) return connection;
  connection.destroy();
  throw new Error('it is not a connection of its own');
}
