// What the two sides of a pairing prove to each other (dipus-keys(7), PAIRING): that they know the code, in this very TLS connection.
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

// What each side sends at most.
const maxPairBytes = 512;
export const proofBytes = 32;

// Crockford's base 32: no I, L, O and U.
const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const codeDigits = 16;

/** 80 random bits as people write them: `K7QF-2M4X-9TRB-CEHJ`. */
export function makeCode(): string {
  const code = Array.from(randomBytes(codeDigits), (byte) => digits[byte % digits.length]).join('');
  return code.replace(/.{4}(?=.)/g, '$&-');
}

/** A code as it was typed, as its 16 digits; undefined where it is none. Case, blanks and hyphens do not count, O is 0, I and L are 1. */
export function readCode(typed: string): string | undefined {
  const plain = typed.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  return plain.length === codeDigits && [...plain].every((digit) => digits.includes(digit)) ? plain : undefined;
}

/** What an invitation holds of its code; `code` as readCode gives it. */
export function keyOfCode(code: string): Buffer {
  return createHash('sha256').update('dipus pair 1').update(code).digest();
}

/** A value that only the two ends of this connection have (RFC 9266). */
export function bindingOf(connection: TLSSocket): Buffer {
  return connection.exportKeyingMaterial(32, 'EXPORTER-dipus-pair-1', Buffer.alloc(0));
}

/** The proof of a side; `name` is what the joiner calls itself. */
export function proofOf(side: 'join' | 'invite', key: Buffer, { ekm, name }: { ekm: Buffer; name: string }): Buffer {
  return createHmac('sha256', key).update(side).update(ekm).update(name).digest();
}

/** In a time that does not tell where they differ. */
export function isSameProof(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

/** All that the other side sends up to its end; undefined where it is too much, or the connection is lost. */
export async function readAll(connection: TLSSocket): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  const isOver = new Promise<boolean>((resolve) => {
    connection.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxPairBytes) resolve(false);
    });
    connection.once('end', () => resolve(true));
    connection.once('close', () => resolve(false));
  });
  return (await isOver) ? Buffer.concat(chunks) : undefined;
}
