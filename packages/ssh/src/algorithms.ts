import type { Algorithms } from 'ssh2-streams/lib/ssh.js';

/**
 * What is offered to a server. The modes are those whose handshake cannot be shortened by somebody in between (Terrapin, CVE-2023-48795): GCM
 * counts by itself, and counter mode is used with MACs over the plain text only. Nothing stands on SHA-1, MD5, CBC or small groups.
 */
export const offered: Algorithms = {
  kex: ['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp384', 'ecdh-sha2-nistp521'],
  serverHostKey: ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'],
  cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr'],
  hmac: ['hmac-sha2-256', 'hmac-sha2-512'],
  compress: ['none'],
};
