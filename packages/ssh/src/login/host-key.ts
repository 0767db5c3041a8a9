import { Failure } from '@dipus/proto/failure';
import { isLoopback } from '@dipus/proto/ip-address';
import { findKnownKeys, recordKey, type KnownKey } from './known-hosts.ts';
import type { LoginOptions } from './login-options.ts';
import { fingerprintOf, rsaBits, shortType, typeOfKey } from './public-key.ts';
import { isRevoked } from './revoked-keys.ts';
import { knownName, type SshConfig } from '../settings/ssh-config.ts';
import { formatTarget, wayOut } from '../settings/target.ts';

/** What is known of a server before it has shown its key. Throws Failure. */
export function knownKeysOf({ hostKeys }: SshConfig): KnownKey[] {
  const files = filesOf(hostKeys);
  const known = findKnownKeys(files, hostKeys.name);
  if (hostKeys.portlessName === undefined || known.some(({ marker }) => marker === 'key')) return known;
  return [...known, ...findKnownKeys(files, hostKeys.portlessName).map((each) => ({ ...each, isPortless: true }))];
}

/** A key that a server has shown, and what is to be said of it. */
interface Judgement {
  readonly known: readonly KnownKey[];
  readonly options: LoginOptions;
  readonly over: AbortSignal;
  /** The server's, where it is known. */
  readonly address: string | undefined;
}

/**
 * Decides whether the key that a server shows is its own, asking where the settings say so. The result is what is to be done once the
 * server has proved that it holds the key. Rejects with Failure where the key is refused.
 */
export async function judgeHostKey(blob: Buffer, config: SshConfig, judgement: Judgement): Promise<() => void> {
  const { known, options, address } = judgement;
  const { hostKeys } = config;
  const key = blob.toString('base64');
  const refuse = (reason: string, hint?: string): Failure => new Failure('trust', formatTarget(config.target), reason).withHint(hint);
  const shown = `${shortType(typeOfKey(blob))} key ${fingerprintOf(blob)}`;
  const bits = rsaBits(blob);
  if (bits !== undefined && bits < hostKeys.leastRsaBits) throw refuse(`its RSA key has ${bits} bits, fewer than ${hostKeys.leastRsaBits}`);
  const revoked = revokedBy(blob, config, known);
  if (revoked !== undefined) throw refuse(`ITS HOST KEY IS REVOKED (${revoked}): ${shown}`);
  if (hostKeys.isLocalhostTrusted && isLoopback(address ?? '')) return () => {};
  const plain = known.filter((each) => each.marker === 'key');
  const ofAddress = keysOfAddress(hostKeys, config, address);
  if (ofAddress.length > 0 && !ofAddress.some((each) => each.key === key) && hostKeys.strictness !== 'no') {
    throw refuse(`ITS HOST KEY IS NOT THE ONE OF ${address}: ${changed(shown, ofAddress)}`, 'CheckHostIP no leaves its address out');
  }
  if (plain.some((each) => each.key === key)) return () => {};
  // A name without the port lets a host in, and keeps none out.
  const own = plain.filter((each) => !each.isPortless);
  if (own.length > 0) throw refuse(`ITS HOST KEY HAS CHANGED, or somebody else answers: ${changed(shown, own)}`, removal(config, own));
  await consent(shown, config, judgement);
  return () => record({ blob, key, config, options });
}

function filesOf({ userFiles, globalFiles }: SshConfig['hostKeys']): string[] {
  return [...userFiles, ...globalFiles];
}

/** Where a key is revoked. Throws Failure. */
function revokedBy(blob: Buffer, { hostKeys: { revokedFile } }: SshConfig, known: readonly KnownKey[]): string | undefined {
  if (revokedFile !== undefined && isRevoked(revokedFile, blob)) return revokedFile;
  return known.find((each) => each.marker === 'revoked' && each.key === blob.toString('base64'))?.where;
}

function keysOfAddress(hostKeys: SshConfig['hostKeys'], { port }: SshConfig, address: string | undefined): KnownKey[] {
  const name = address !== undefined && hostKeys.isAddressChecked ? knownName(address, port) : hostKeys.name;
  if (name === hostKeys.name) return [];
  return findKnownKeys(filesOf(hostKeys), name).filter(({ marker }) => marker === 'key');
}

function changed(shown: string, plain: readonly KnownKey[]): string {
  const expected = plain.map(({ type, key, where }) => `${shortType(type)} key ${fingerprintOf(Buffer.from(key, 'base64'))} (${where})`);
  return `it shows ${shown} instead of the known ${expected.join(', ')}`;
}

function removal({ hostKeys: { name } }: SshConfig, plain: readonly KnownKey[]): string {
  const file = plain[0]!.where.replace(/:\d+$/, '');
  return `if its administrator confirms the new key: ssh-keygen -f ${file} -R '${name}'`;
}

/** Returns where an unknown key may be taken; rejects with Failure where not. */
async function consent(shown: string, config: SshConfig, { known, options, over }: Judgement): Promise<void> {
  const { strictness, name, hasDnsKeys } = config.hostKeys;
  const { prompter } = options;
  const reason = `its host key is not known: ${shown}${hasDnsKeys ? '; VerifyHostKeyDNS is not supported' : ''}`;
  if (strictness === 'no' || strictness === 'accept-new') return;
  const hasAuthority = known.some((each) => each.marker === 'authority');
  const hint = hasAuthority ? `host certificates are not supported. ${wayOut(config.target)}` : recordHint(config);
  const failure = new Failure('trust', formatTarget(config.target), reason).withHint(hint);
  if (strictness === 'yes' || config.auth.isBatch || !prompter) throw failure;
  prompter.tell(`The host ${name} is not known. It shows the ${shown}.`);
  if (!(await prompter.confirm('Is that its key, and shall it be remembered?', over))) throw failure;
}

function recordHint({ hostKeys: { name, userFiles } }: SshConfig): string {
  return `log in once by ssh, or add a line for ${name} to ${userFiles[0] ?? 'known_hosts'}`;
}

/** Writes a new key to the user's first file. That it cannot be written is told, but does not end the login, as with ssh. */
function record({ blob, key, config, options }: { blob: Buffer; key: string; config: SshConfig; options: LoginOptions }): void {
  const { name, userFiles, isHashed } = config.hostKeys;
  const file = userFiles[0];
  if (file === undefined) return;
  try {
    recordKey(file, { name, type: typeOfKey(blob), key, isHashed });
    options.explain(`remembered the host key of ${name} in ${file}`);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    (options.prompter?.tell ?? options.explain)(`cannot remember the host key: ${error.message}`);
  }
}
