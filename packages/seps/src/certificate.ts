// A certificate of a key that says nothing but the key (RFC 5280): a fixed template in DER, written, never read.
import { createHash, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { formatPin, type Pin } from '@dipus/proto/pin';

interface Signing {
  /** AlgorithmIdentifier, in DER. */
  readonly algorithm: Buffer;
  readonly digest: string | null;
}

const tag = { integer: 0x02, bitString: 0x03, oid: 0x06, utf8: 0x0c, utcTime: 0x17, time: 0x18, sequence: 0x30, set: 0x31, version: 0xa0 };
const ecdsa: Signing = { algorithm: sequence(oid('2a8648ce3d040302')), digest: 'sha256' };
const rsa: Signing = { algorithm: sequence(oid('2a864886f70d01010b'), Buffer.from('0500', 'hex')), digest: 'sha256' };
const ed25519: Signing = { algorithm: sequence(oid('2b6570')), digest: null };
const ed448: Signing = { algorithm: sequence(oid('2b6571')), digest: null };

const curves = ['prime256v1', 'secp384r1', 'secp521r1'];
const leastRsaBits = 2048;

/** How a key signs in TLS 1.3; undefined for a key that cannot. */
function signingOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): Signing | undefined {
  if (type === 'ed25519') return ed25519;
  if (type === 'ed448') return ed448;
  if (type === 'ec') return curves.includes(details?.namedCurve ?? '') ? ecdsa : undefined;
  return type === 'rsa' && (details?.modulusLength ?? 0) >= leastRsaBits ? rsa : undefined;
}

/** What others know a key by. */
export function pinOfKey(publicKey: KeyObject): Pin {
  return formatPin(createHash('sha256').update(spkiOf(publicKey)).digest());
}

/**
 * The certificate of a private key, in PEM: v3 without extensions, signed by itself, its name `dipus`, good from 2020 for ever (RFC 5280,
 * section 4.1.2.5). Undefined for a key that cannot sign in TLS 1.3.
 */
export function certificateOf(privateKey: KeyObject): string | undefined {
  const signing = signingOf(privateKey);
  if (!signing) return undefined;
  const spki = spkiOf(createPublicKey(privateKey));
  const name = sequence(der(tag.set, sequence(oid('550403'), der(tag.utf8, Buffer.from('dipus')))));
  const validity = sequence(der(tag.utcTime, Buffer.from('200101000000Z')), der(tag.time, Buffer.from('99991231235959Z')));
  const version = der(tag.version, der(tag.integer, Buffer.from([2])));
  const toSign = sequence(version, serialOf(spki), signing.algorithm, name, validity, name, spki);
  const signature = sign(signing.digest, toSign, privateKey);
  const certificate = sequence(toSign, signing.algorithm, der(tag.bitString, Buffer.from([0]), signature));
  return `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`;
}

function spkiOf(publicKey: KeyObject): Buffer {
  return publicKey.export({ type: 'spki', format: 'der' });
}

/** The first 16 bytes of the pin as a positive number in its shortest form. */
function serialOf(spki: Buffer): Buffer {
  const hash = createHash('sha256').update(spki).digest().subarray(0, 16);
  const start = hash.findIndex((byte) => byte !== 0);
  const digits = hash.subarray(start < 0 ? hash.length - 1 : start);
  return der(tag.integer, digits[0]! >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0), digits);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(tag.sequence, ...parts);
}

function oid(hex: string): Buffer {
  return der(tag.oid, Buffer.from(hex, 'hex'));
}

/** Tag, length and content (X.690, section 8.1). */
function der(kind: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([kind, ...lengthOf(content.length)]), content]);
}

function lengthOf(length: number): number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}
