import { createHash, type KeyObject } from 'node:crypto';

/** The type of a public key as it goes over the wire (RFC 4253 6.6); '' where it is none. */
export function typeOfKey(blob: Buffer): string {
  return readBytes(blob, 0)?.bytes.toString('latin1') ?? '';
}

/** `SHA256:…` as ssh shows it. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/** A type as people know it: `ED25519` for ssh-ed25519. */
export function shortType(type: string): string {
  const names: Record<string, string> = { 'ssh-ed25519': 'ED25519', 'ssh-rsa': 'RSA', 'ssh-dss': 'DSA' };
  return names[type] ?? (type.startsWith('ecdsa-') ? 'ECDSA' : type);
}

/** The bits of an RSA key; undefined for other keys. */
export function rsaBits(blob: Buffer): number | undefined {
  if (typeOfKey(blob) !== 'ssh-rsa') return undefined;
  const exponent = readBytes(blob, 4 + 'ssh-rsa'.length);
  const modulus = exponent && readBytes(blob, exponent.next)?.bytes;
  if (!modulus) return 0;
  const digits = modulus.toString('hex').replace(/^0+/, '');
  return digits === '' ? 0 : BigInt(`0x${digits}`).toString(2).length;
}

/** Why dipus cannot use a type of key; undefined where it can. */
export function unusableType(type: string): string | undefined {
  if (type.includes('-cert-v0')) return 'certificates are not supported';
  if (type.startsWith('sk-')) return 'FIDO keys are not supported';
  if (type === 'ssh-dss') return 'DSA keys are not safe';
  return usable.includes(type) ? undefined : `keys of type ${type} are not supported`;
}

/** A public or private key's public part as it goes over the wire; undefined for a type that SSH does not know here. */
export function wireKey(key: KeyObject): Buffer | undefined {
  const { kty, crv, x, y, n, e } = key.export({ format: 'jwk' });
  const part = (text: unknown): Buffer => Buffer.from(String(text), 'base64url');
  if (kty === 'RSA') return Buffer.concat([wireString('ssh-rsa'), wireInteger(part(e)), wireInteger(part(n))]);
  if (crv === 'Ed25519') return Buffer.concat([wireString('ssh-ed25519'), wireString(part(x))]);
  const curve = { 'P-256': 'nistp256', 'P-384': 'nistp384', 'P-521': 'nistp521' }[String(crv)];
  if (curve === undefined) return undefined;
  const point = Buffer.concat([Buffer.from([4]), part(x), part(y)]);
  return Buffer.concat([wireString(`ecdsa-sha2-${curve}`), wireString(curve), wireString(point)]);
}

/** A `string` of RFC 4251. */
export function wireString(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** Reads a `string` of RFC 4251 at an offset; undefined where it is cut. */
export function readBytes(buffer: Buffer, from: number): { bytes: Buffer; next: number } | undefined {
  if (from + 4 > buffer.length) return undefined;
  const next = from + 4 + buffer.readUInt32BE(from);
  return next > buffer.length ? undefined : { bytes: buffer.subarray(from + 4, next), next };
}

function wireInteger(bytes: Buffer): Buffer {
  return wireString(bytes[0]! & 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes);
}

const usable = ['ssh-ed25519', 'ssh-rsa', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'];
