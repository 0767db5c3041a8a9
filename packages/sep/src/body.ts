// What an exporter answers, and how much of it is taken.
import type { IncomingMessage } from 'node:http';
import { codeOf, systemError } from '@dipus/proto/failure';

export interface BodyLimits {
  readonly maxBytes: number;
  readonly ms: number;
}

/** A whole body. Rejects with Error where it does not keep to the limits or breaks off. The answer is destroyed then. */
export async function readBody(answer: IncomingMessage, { maxBytes, ms }: BodyLimits): Promise<Buffer> {
  // One piece that grows: a body may come byte by byte.
  let whole = Buffer.allocUnsafe(Math.min(maxBytes, 65_536));
  let bytes = 0;
  const timer = setTimeout(() => answer.destroy(new Error(`its answer is not complete after ${ms / 1000} s`)), ms);
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      if (bytes + chunk.length > maxBytes) throw new Error(`its answer is longer than ${maxBytes} bytes`);
      if (bytes + chunk.length > whole.length) {
        const larger = Buffer.allocUnsafe(Math.min(maxBytes, 2 * (bytes + chunk.length)));
        whole.copy(larger, 0, 0, bytes);
        whole = larger;
      }
      bytes += chunk.copy(whole, bytes);
    }
    return whole.subarray(0, bytes);
  } catch (error) {
    throw inWords(error);
  } finally {
    clearTimeout(timer);
    answer.destroy();
  }
}

/** An error of the platform's HTTP client, as a person would say it. */
export function inWords(error: unknown): unknown {
  const code = codeOf(error) ?? '';
  if (code === 'HPE_HEADER_OVERFLOW') return new Error('the head of its answer is too long');
  if (code === 'HPE_INVALID_EOF_STATE' || (code === 'ECONNRESET' && /aborted|hang up/.test(String(error)))) {
    return systemError('ECONNRESET', 'it closed the connection in the middle of its answer');
  }
  return code.startsWith('HPE_') ? new Error('its answer is not HTTP') : error;
}
