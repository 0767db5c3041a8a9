import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { parseServicePath } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { parseUri } from '@dipus/proto/uri';
import { openHost, type OpenOptions } from '@dipus/remote/open';
import type { MayCall } from './calls.ts';
import { openService } from '@dipus/tree/open-service';

/**
 * Connects to the control socket of the service at a URI, for one link: `unix:///PATH` or one behind an exporter, and nothing but a
 * service. Rejects with the reason.
 */
export async function dialStage(uri: string, mayCall: MayCall, options: OpenOptions): Promise<Duplex> {
  const parsed = parseUri(uri);
  if (!mayCall(parsed)) throw new Error('this client may name no host that is called');
  if (parsed.scheme === 'unix') return openService({ file: parsed.path }, 'control');
  if (parsed.scheme !== 'sep' && parsed.scheme !== 'seps') throw new Error(`no stage is called by ${parsed.scheme}`);
  const service = parseServicePath(parsed.ask.segments.join('/'));
  if (!service) throw new Error('it names no service');
  const host = await openHost(parsed, { ...options, isFromList: true });
  try {
    const connection = await host.dial({ ...service, area: 'exported', hasControl: true }, 'data');
    // A link may be idle for long, and then be cut.
    if (connection instanceof Socket) connection.setKeepAlive(true, timing.keepAliveMs);
    return connection.once('close', () => host.close());
  } catch (error) {
    host.close();
    throw error;
  }
}
