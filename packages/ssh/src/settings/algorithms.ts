import type { Algorithms, KexInit } from 'ssh2-streams/lib/ssh.js';

/** Algorithms by kind, best first. */
export type Offer = { readonly [kind in 'kex' | 'serverHostKey' | 'cipher' | 'hmac']: readonly string[] };

/**
 * What may be offered to a server. The modes are those whose handshake cannot be shortened by somebody in between (Terrapin,
 * CVE-2023-48795): GCM counts by itself, and counter mode comes with MACs of the plain text only. Nothing stands on SHA-1, MD5,
 * CBC or small groups.
 */
const safeOffer: Offer = {
  kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp384', 'ecdh-sha2-nistp521'],
  serverHostKey: ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'rsa-sha2-512', 'rsa-sha2-256'],
  cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr'],
  hmac: ['hmac-sha2-256', 'hmac-sha2-512'],
};

const kindNames: Record<keyof Offer, string> = { kex: 'key exchange', serverHostKey: 'host key', cipher: 'cipher', hmac: 'MAC' };

/** The safe algorithms that are among `allowed` too; a kind that is not named there is left as it is. */
export function narrowOffer(allowed: { readonly [kind in keyof Offer]?: readonly string[] | undefined }): Offer {
  const narrow = (kind: keyof Offer): readonly string[] => safeOffer[kind].filter((name) => allowed[kind]?.includes(name) ?? true);
  return { kex: narrow('kex'), serverHostKey: narrow('serverHostKey'), cipher: narrow('cipher'), hmac: narrow('hmac') };
}

/** The kind of which an offer has nothing left, in words; undefined where it is whole. */
export function emptyKind(offer: Offer): string | undefined {
  const kind = kinds.find((each) => offer[each].length === 0);
  return kind && kindNames[kind];
}

/** The same offer, host keys of these types first: a server must show the key that is known of it. */
export function preferHostKeys(offer: Offer, types: readonly string[]): Offer {
  const isPreferred = (name: string): boolean => types.includes(keyTypeOf(name));
  const { serverHostKey: all } = offer;
  return { ...offer, serverHostKey: [...all.filter(isPreferred), ...all.filter((name) => !isPreferred(name))] };
}

/** An offer as the library takes it. */
export function libraryAlgorithms(offer: Offer): Algorithms {
  return {
    kex: [...offer.kex],
    serverHostKey: [...offer.serverHostKey],
    cipher: [...offer.cipher],
    hmac: [...offer.hmac],
    compress: ['none'],
  };
}

/** What both sides cannot agree on, naming what the server has; undefined where they can. */
export function disagreement(offer: Offer, { algorithms: theirs }: KexInit): string | undefined {
  const pairs: [keyof Offer, readonly string[]][] = [
    ['kex', theirs.kex],
    ['serverHostKey', theirs.srvHostKey],
    ['cipher', theirs.cs.encrypt],
    ['cipher', theirs.sc.encrypt],
    ['hmac', theirs.cs.mac],
    ['hmac', theirs.sc.mac],
  ];
  const [kind, names] = pairs.find(([each, list]) => !offer[each].some((name) => list.includes(name))) ?? [];
  if (kind === undefined || names === undefined) return undefined;
  const real = names.filter((name) => !/^(?:ext-info|kex-strict)-/.test(name));
  return `no ${kindNames[kind]} in common; the server offers only ${real.join(', ').slice(0, 300) || 'none'}`;
}

/** How keys of an algorithm are written: both of RSA as ssh-rsa (RFC 8332). */
function keyTypeOf(algorithm: string): string {
  return algorithm.startsWith('rsa-sha2-') ? 'ssh-rsa' : algorithm;
}

const kinds: readonly (keyof Offer)[] = ['kex', 'serverHostKey', 'cipher', 'hmac'];
