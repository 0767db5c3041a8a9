import { Failure } from '@dipus/proto/failure';
import { findKnownKeys, recordKey, type KnownKey } from './known-hosts.ts';
import type { LoginSetting } from './login.ts';
import { fingerprintOf, rsaBits, shortType, typeOfKey } from './public-key.ts';
import type { SshConfig } from './ssh-config.ts';
import { printTarget, wayOut } from './target.ts';

const leastRsaBits = 2048;

/** What is known of a server before it has shown its key. Throws Failure. */
export function knownKeysOf({ hostKeys: { name, userFiles, globalFiles } }: SshConfig): KnownKey[] {
  return findKnownKeys([...userFiles, ...globalFiles], name);
}

/**
 * Decides whether the key that a server shows is its own, asking where the settings say so. The result is what is to be done once the
 * server has proved that it holds the key. Rejects with Failure where the key is refused.
 */
export async function judgeHostKey(
  blob: Buffer,
  config: SshConfig,
  { known, setting, over }: { known: readonly KnownKey[]; setting: LoginSetting; over: AbortSignal },
): Promise<() => void> {
  const key = blob.toString('base64');
  const refuse = (reason: string, hint?: string): Failure => new Failure('trust', printTarget(config.target), reason, hint);
  const shown = `${shortType(typeOfKey(blob))} key ${fingerprintOf(blob)}`;
  const bits = rsaBits(blob);
  if (bits !== undefined && bits < leastRsaBits) throw refuse(`its RSA key has ${bits} bits, fewer than ${leastRsaBits}`);
  const revoked = known.find((each) => each.marker === 'revoked' && each.key === key);
  if (revoked) throw refuse(`ITS HOST KEY IS REVOKED (${revoked.where}): ${shown}`);
  const plain = known.filter((each) => each.marker === 'key');
  if (plain.some((each) => each.key === key)) return () => {};
  if (plain.length > 0) throw refuse(changed(shown, plain), removal(config, plain));
  await consent(shown, { config, known, setting, over });
  return () => record({ blob, key, config, setting });
}

function changed(shown: string, plain: readonly KnownKey[]): string {
  const expected = plain.map(({ type, key, where }) => `${shortType(type)} key ${fingerprintOf(Buffer.from(key, 'base64'))} (${where})`);
  return `ITS HOST KEY HAS CHANGED, or somebody else answers: it shows ${shown}, known is ${expected.join(', ')}`;
}

function removal({ hostKeys: { name } }: SshConfig, plain: readonly KnownKey[]): string {
  const file = plain[0]!.where.replace(/:\d+$/, '');
  return `if its administrator confirms the new key: ssh-keygen -f ${file} -R '${name}'`;
}

/** Returns where an unknown key may be taken; rejects with Failure where not. */
async function consent(
  shown: string,
  { config, known, setting, over }: { config: SshConfig; known: readonly KnownKey[]; setting: LoginSetting; over: AbortSignal },
): Promise<void> {
  const { strictness, name } = config.hostKeys;
  const { terminal } = setting;
  const reason = `its host key is not known: ${shown}`;
  if (strictness === 'no' || strictness === 'accept-new') return;
  const hasAuthority = known.some((each) => each.marker === 'authority');
  const hint = hasAuthority ? `host certificates are not supported. ${wayOut(config.target)}` : recordHint(config);
  const failure = new Failure('trust', printTarget(config.target), reason, hint);
  if (strictness === 'yes' || config.auth.isBatch || !terminal) throw failure;
  terminal.tell(`The host ${name} is not known. It shows the ${shown}.`);
  if (!(await terminal.confirm('Is that its key, and shall it be remembered?', over))) throw failure;
}

function recordHint({ hostKeys: { name, userFiles } }: SshConfig): string {
  return `log in once by ssh, or add a line for ${name} to ${userFiles[0] ?? 'known_hosts'}`;
}

/** Writes a new key to the user's first file. That it cannot be written is told, but does not end the login, as with ssh. */
function record({ blob, key, config, setting }: { blob: Buffer; key: string; config: SshConfig; setting: LoginSetting }): void {
  const { name, userFiles, isHashed } = config.hostKeys;
  const file = userFiles[0];
  if (file === undefined) return;
  try {
    recordKey(file, { name, type: typeOfKey(blob), key, isHashed });
    setting.explain(`remembered the host key of ${name} in ${file}`);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    (setting.terminal?.tell ?? setting.explain)(`cannot remember the host key: ${error.message}`);
  }
}
