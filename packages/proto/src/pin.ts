/** A key as others know it: SHA-256 of its SPKI in DER, spelled as curl's --pinnedpubkey has it (RFC 7469, section 2.4). */
export type Pin = `sha256//${string}`;

const hashBytes = 32;
const zeroWidth = /[\u00ad\u200b-\u200f\u2060\ufeff]/gu;
const prefix = /^sha256(?:\/\/|:)/i;

/**
 * Reads a pin as curl, ssh-keygen, openssl and a TXT record spell it: `sha256//` or `SHA256:` or nothing, then base64 or base64url, with
 * or without `=`, or 64 hexadecimal digits. Blanks around it and zero-width characters do not count. Undefined for anything else.
 */
export function parsePin(text: string): Pin | undefined {
  const digits = text.replace(zeroWidth, '').trim().replace(prefix, '');
  if (/^[0-9a-f]{64}$/i.test(digits)) return formatPin(Buffer.from(digits, 'hex'));
  if (!/^[\w+/-]{43}=?$/.test(digits)) return undefined;
  const hash = Buffer.from(digits, 'base64');
  // The last digit has two bits too many; what is not zero there was never written by a program.
  const isExact = hash.toString('base64url') === digits.replace('=', '').replaceAll('+', '-').replaceAll('/', '_');
  return isExact ? formatPin(hash) : undefined;
}

/** The one form in which a pin is printed and compared; `hash` has 32 bytes. */
export function formatPin(hash: Uint8Array): Pin {
  if (hash.length !== hashBytes) throw new RangeError(`a pin of ${hash.length} bytes`);
  return `sha256//${Buffer.from(hash).toString('base64')}`;
}

/** A pin in a file name or TXT record: 43 characters of base64url. parsePin reads it. */
export function pinName(pin: Pin): string {
  return Buffer.from(pin.replace(prefix, ''), 'base64').toString('base64url');
}
