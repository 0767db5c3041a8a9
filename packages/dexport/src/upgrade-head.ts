// The head of a request as our own clients write it, read without the platform's parser, which costs a quarter of a short connection.
import type { IncomingMessage } from 'node:http';
import { sepProtocol, socketHeader } from '@dipus/proto/sep';

/** What is looked at of a request for an upgrade. */
export type UpgradeHead = Pick<IncomingMessage, 'method' | 'url' | 'headers' | 'rawHeaders'>;

const lines = ['GET (/[!-~]*) HTTP/1\\.1', 'Host: [!-~]+', 'Connection: Upgrade', `Upgrade: ${sepProtocol}`];
const whole = new RegExp(`^${lines.join('\r\n')}\r\n(?:${socketHeader}: (control|data)\r\n)?\r\n`);
// All that is longer is left to the parser and its limits.
const maxBytes = 2048;

/**
 * Reads such a head where a connection begins with one, whole; undefined for everything else, which may be one all the same. `length`:
 * where the first byte behind it is.
 */
export function readUpgradeHead(bytes: Buffer): (UpgradeHead & { readonly length: number }) | undefined {
  const found = whole.exec(bytes.toString('latin1', 0, maxBytes));
  if (!found) return undefined;
  const [{ length }, url, kind] = found;
  return { method: 'GET', url: url!, headers: kind === undefined ? {} : { [socketHeader.toLowerCase()]: kind }, rawHeaders: [], length };
}
