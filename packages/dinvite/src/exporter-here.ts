import { connect } from 'node:tls';
import { codeOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { sepPort } from '@dipus/proto/uri';
import { pause } from '@dipus/proto/waiting';
import type { Identity } from '@dipus/seps/identity';
import { protocolName, shownPin } from '@dipus/seps/secured';

/**
 * What is wrong with the exporter of this host, seen from a peer that wants to join; undefined where this user's answers in time, or `over`
 * aborts first.
 */
export async function whyNobodyAnswers(identity: Identity, over: AbortSignal): Promise<string | undefined> {
  for (const end = performance.now() + timing.exporterMs; ;) {
    const why = whatIsWrong(await keyShown(over), identity);
    if (over.aborted) return undefined;
    if (why === undefined || performance.now() > end) return why;
    await pause(timing.invitedMs, over);
  }
}

function whatIsWrong(shown: string, { pin }: Identity): string | undefined {
  if (shown === 'nobody') return `nothing listens on port ${sepPort}: start dexport --seps`;
  if (shown === 'plain') return `what listens on port ${sepPort} does not pair: start dexport --seps`;
  return shown === pin ? undefined : `what listens on port ${sepPort} has another key than this user's: ${shown}`;
}

/** The pin of what listens on the port of exporters. */
function keyShown(over: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const connection = connect({
      host: 'localhost',
      port: sepPort,
      minVersion: 'TLSv1.3',
      ALPNProtocols: [protocolName.pairing],
      // Only looked at.
      rejectUnauthorized: false,
    });
    const end = (shown: string): void => {
      connection.destroy();
      resolve(shown);
    };
    over.addEventListener('abort', () => end(''), { once: true });
    connection.setTimeout(timing.probeMs, () => end('plain'));
    connection.on('error', (error) => end(isNobody(error) ? 'nobody' : 'plain'));
    connection.once('secureConnect', () => {
      end((connection.alpnProtocol === protocolName.pairing && shownPin(connection)) || 'plain');
    });
  });
}

/** Neither by IPv4 nor by IPv6. */
function isNobody(error: Error): boolean {
  const errors: unknown[] = error instanceof AggregateError ? error.errors : [error];
  return errors.every((each) => ['ECONNREFUSED', 'EADDRNOTAVAIL', 'ENETUNREACH'].includes(codeOf(each) ?? ''));
}
