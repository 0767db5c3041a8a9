import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { closeSync, constants, fchmodSync, fsyncSync, linkSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, Failure } from '@dipus/proto/failure';
import type { Pin } from '@dipus/proto/pin';
import { certificateOf, pinOfKey } from './certificate.ts';
import { makeFolder, readKept, type ConfigFolder } from './config-folder.ts';

/** A user's key, as node:tls takes it: `key` and `cert` are PEM. */
export interface Identity {
  readonly key: string;
  readonly cert: string;
  readonly pin: Pin;
}

const keyName = 'key.pem';
const others = 0o077;

/** This user's key; made where there is none yet. Throws Failure where it cannot be used. */
export function loadIdentity(folder: ConfigFolder): Identity {
  const path = join(folder.dir, keyName);
  makeFolder(folder);
  if (readKey(folder) === undefined) makeKey(path);
  const key = readKey(folder);
  if (key === undefined) throw new Failure('read', path, 'it has gone');
  const privateKey = parseKey(path, key);
  const cert = certificateOf(privateKey);
  if (cert === undefined) {
    throw new Failure('use', path, 'a key of a kind that cannot sign in TLS 1.3').withHint('P-256, Ed25519 and RSA of 2048 bits can');
  }
  return { key, cert, pin: pinOfKey(createPublicKey(privateKey)) };
}

function readKey(folder: ConfigFolder): string | undefined {
  return readKept(folder, keyName, ({ mode }) => (mode & others ? 'open to others than its owner' : undefined));
}

function parseKey(path: string, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const isEncrypted = /ENCRYPTED/.test(pem);
    throw new Failure('read', path, isEncrypted ? 'it is encrypted, and nobody is asked for its passphrase' : 'no private key').withHint(
      codeOf(error) === undefined ? undefined : `openssl pkey -in ${path} -noout tells more`,
    );
  }
}

/**
 * Makes a key under a name of its own and links it to its final one: of several programs that do so at once one succeeds, and all use
 * that key.
 */
function makeKey(path: string): void {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const newborn = `${path}.${randomBytes(4).toString('hex')}`;
  try {
    const fd = openSync(newborn, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
    try {
      fchmodSync(fd, 0o600);
      writeSync(fd, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
      fsyncSync(fd);
      linkSync(newborn, path);
    } finally {
      closeSync(fd);
      unlinkSync(newborn);
    }
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw new Failure('make', path, error);
  }
}
