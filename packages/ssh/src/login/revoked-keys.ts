// The keys that a user's settings revoke (ssh_config(5), RevokedHostKeys): a list of public keys, or a KRL of OpenSSH:
//
//   magic "SSHKRL\n\0" | format u32 = 1 | version u64 | date u64 | flags u64 | reserved string | comment string | sections
//   section:  type u8 | contents string      2: key blobs, 3: their SHA-1, 5: their SHA-256, each a string; 1: certificates
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Failure } from '@dipus/proto/failure';
import { linesOf } from '@dipus/proto/file-lines';
import { readBytes } from './public-key.ts';

const magic = 'SSHKRL\n\0';
const headBytes = magic.length + 4 + 8 + 8 + 8;
const section = { certificates: 1, keys: 2, sha1: 3, signature: 4, sha256: 5 } as const;

/** Whether a file revokes a public key. Throws Failure for a file that is not there or cannot be read whole: it may revoke anything. */
export function isRevoked(file: string, key: Buffer): boolean {
  const bytes = readRevoked(file);
  const revokes = bytes.toString('latin1', 0, magic.length) === magic ? krlRevokes(bytes, key) : listRevokes(bytes, key);
  if (revokes === undefined) throw new Failure('read', file, 'it is not a list of revoked keys of a known format');
  return revokes;
}

function readRevoked(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Failure('read', file, error).withHint('RevokedHostKeys names it: no host can be trusted without it');
  }
}

/** Undefined: a line of it is no key. */
function listRevokes(bytes: Buffer, key: Buffer): boolean | undefined {
  const lines = linesOf(bytes.toString());
  const keys = lines.map(({ content }) => /^\s*[a-z][\w@.-]*\s+([A-Za-z0-9+/]+=*)(?:\s|$)/.exec(content)?.[1]);
  if (keys.includes(undefined)) return undefined;
  return keys.includes(key.toString('base64'));
}

/** Undefined: it is damaged, or has a part that is not known. */
function krlRevokes(bytes: Buffer, key: Buffer): boolean | undefined {
  if (bytes.length < headBytes || bytes.readUInt32BE(magic.length) !== 1) return undefined;
  const reserved = readBytes(bytes, headBytes);
  const comment = reserved && readBytes(bytes, reserved.next);
  if (!comment) return undefined;
  let revokes = false;
  for (let at = comment.next; at < bytes.length;) {
    const contents = readBytes(bytes, at + 1);
    const found = contents && sectionRevokes(bytes[at]!, contents.bytes, key);
    if (found === undefined) return undefined;
    // What follows a signature is its own affair; nothing after it counts.
    if (bytes[at] === section.signature) return revokes;
    revokes ||= found;
    at = contents!.next;
  }
  return revokes;
}

function sectionRevokes(type: number, contents: Buffer, key: Buffer): boolean | undefined {
  const digests: Partial<Record<number, string>> = { [section.sha1]: 'sha1', [section.sha256]: 'sha256' };
  if (type === section.certificates || type === section.signature) return false;
  const digest = digests[type];
  if (digest === undefined && type !== section.keys) return undefined;
  const wanted = digest === undefined ? key : createHash(digest).update(key).digest();
  for (let at = 0; at < contents.length;) {
    const entry = readBytes(contents, at);
    if (!entry) return undefined;
    if (entry.bytes.equals(wanted)) return true;
    at = entry.next;
  }
  return false;
}
