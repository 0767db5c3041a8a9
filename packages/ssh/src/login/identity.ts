import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import keyParser from 'ssh2-streams/lib/keyParser.js';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { readBytes, wireKey } from './public-key.ts';

/** A private key file. */
export interface Identity {
  readonly file: string;
  /** The public key, where it can be known without the passphrase. */
  readonly publicKey: Buffer | undefined;
  readonly isEncrypted: boolean;
  /** Undefined: the passphrase is wrong. Throws IdentityError where the file holds no key that can be read. */
  open(passphrase?: string): KeyObject | undefined;
}

/** A key file cannot be used; the message is the reason. */
export class IdentityError extends Error {}

/** Reads a key file; undefined where there is none. Throws IdentityError. */
export function readIdentity(file: string): Identity | undefined {
  const text = readPrivate(file);
  if (text === undefined) return undefined;
  if (text.includes('-----BEGIN OPENSSH PRIVATE KEY-----')) return openSshIdentity(file, text);
  const isEncrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text);
  const open: Identity['open'] = (passphrase) => openPem(text, passphrase);
  return { file, isEncrypted, open, publicKey: publicFile(file) ?? (isEncrypted ? undefined : wireKey(createPublicKey(open()!))) };
}

/** The public key in `FILE.pub`, or in FILE itself where that is a public key; undefined where neither is. */
export function publicFile(file: string): Buffer | undefined {
  for (const path of [`${file}.pub`, file]) {
    const [, base64] = /^[a-z][\w@.-]* ([A-Za-z0-9+/=]+)/.exec(readOptional(path) ?? '') ?? [];
    if (base64 !== undefined) return Buffer.from(base64, 'base64');
  }
  return undefined;
}

/** The text of a file that others must not be able to read, as ssh demands it. */
function readPrivate(file: string): string | undefined {
  try {
    const { uid, mode } = statSync(file);
    if (uid === process.getuid?.() && mode & 0o077) {
      throw new IdentityError(`its mode ${(mode & 0o7777).toString(8).padStart(4, '0')} lets others use it (chmod 600)`);
    }
    const text = readFileSync(file, 'utf8');
    return text.includes('PRIVATE KEY-----') ? text : notPrivate(file);
  } catch (error) {
    if (error instanceof IdentityError) throw error;
    if (['ENOENT', 'ENOTDIR'].includes(codeOf(error) ?? '')) return undefined;
    throw new IdentityError(reasonOf(error));
  }
}

/** A public key stands for one that the agent holds. */
function notPrivate(file: string): undefined {
  if (publicFile(file)) return undefined;
  throw new IdentityError('holds no private key');
}

function openSshIdentity(file: string, text: string): Identity {
  const header = openSshHeader(text);
  if (!header) throw new IdentityError('its key is damaged');
  const open: Identity['open'] = (passphrase) => {
    const key = [keyParser.parseKey(text, passphrase)].flat()[0];
    if (key instanceof Error) {
      // What is wrong when a wrong passphrase is used differs by cipher.
      if (header.isEncrypted && passphrase !== undefined) return undefined;
      throw new IdentityError(`its key cannot be read: ${reasonOf(key)}`);
    }
    const pem = key?.getPrivatePEM();
    if (typeof pem !== 'string') throw new IdentityError('holds no private key');
    return createPrivateKey(pem);
  };
  return { file, ...header, open };
}

/** What stands in an OpenSSH key in the clear (PROTOCOL.key of OpenSSH). */
function openSshHeader(text: string): Pick<Identity, 'publicKey' | 'isEncrypted'> | undefined {
  const base64 = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END/.exec(text)?.[1] ?? '';
  const bytes = Buffer.from(base64, 'base64');
  const magic = 'openssh-key-v1\0';
  if (bytes.toString('latin1', 0, magic.length) !== magic) return undefined;
  const cipher = readBytes(bytes, magic.length);
  const kdf = cipher && readBytes(bytes, cipher.next);
  const kdfOptions = kdf && readBytes(bytes, kdf.next);
  const publicKey = kdfOptions && readBytes(bytes, kdfOptions.next + 4)?.bytes;
  return publicKey && { publicKey: Buffer.from(publicKey), isEncrypted: cipher.bytes.toString() !== 'none' };
}

function openPem(text: string, passphrase: string | undefined): KeyObject | undefined {
  try {
    return createPrivateKey({ key: text, ...(passphrase !== undefined && { passphrase }) });
  } catch (error) {
    if (passphrase !== undefined && isWrongPassphrase(error)) return undefined;
    throw new IdentityError(`its key cannot be read: ${reasonOf(error)}`);
  }
}

// OpenSSL finds out by the padding, or by what does not parse once it is decrypted.
function isWrongPassphrase(error: unknown): boolean {
  return /bad decrypt|bad password|asn1|decoder routines/i.test(String(error));
}

function readOptional(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
