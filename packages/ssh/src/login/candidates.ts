import { sign, type KeyObject } from 'node:crypto';
import { AgentError, listAgentKeys, signByAgent, type AgentKey } from './agent.ts';
import { IdentityError, publicFile, readIdentity, type Identity } from './identity.ts';
import { typeOfKey, unusableType, wireKey } from './public-key.ts';
import type { AuthConfig } from '../settings/ssh-config.ts';

/** A key that may be tried. */
export interface Candidate {
  /** As messages call it. */
  readonly label: string;
  readonly publicKey: Buffer;
  /** The bare signature, as authPK takes it. Rejects with AgentError or IdentityError. */
  sign(bytes: Buffer, algorithm: string): Promise<Buffer>;
}

/** A key that cannot be tried, and why. */
export interface Unusable {
  readonly label: string;
  readonly reason: string;
}

/** Asks for the passphrase of a key file until it opens; undefined where nobody can or will tell it. */
export type Unlock = (identity: Identity) => Promise<KeyObject | undefined>;

const isUnusable = (found: Candidate | Unusable): found is Unusable => 'reason' in found;

/**
 * The keys to try, in order: those of the agent that are of the identity files, its other keys unless only the files count, then the files.
 * What cannot be tried is told to `skipped`.
 */
export async function* findCandidates(
  config: AuthConfig,
  { unlock, skipped, over }: { unlock: Unlock; skipped: (unusable: Unusable) => void; over: AbortSignal },
): AsyncGenerator<Candidate> {
  const files = config.identityFiles.map(readFile);
  const publicKeys = files.flatMap(({ publicKey }) => (publicKey ? [publicKey] : []));
  const isOfFiles = ({ blob }: AgentKey): boolean => publicKeys.some((key) => key.equals(blob));
  const all = await agentKeys(config.agent, skipped, over);
  const rest = config.isIdentitiesOnly ? [] : all.filter((key) => !isOfFiles(key));
  const tried = [...all.filter(isOfFiles), ...rest];
  for (const key of tried) {
    const found = agentCandidate(config.agent!, key, over);
    if (isUnusable(found)) skipped(found);
    else yield found;
  }
  if (config.pkcs11 !== undefined) skipped({ label: config.pkcs11, reason: 'PKCS#11 is not supported' });
  for (const file of config.certificateFiles) skipped({ label: file, reason: 'certificates are not supported' });
  for (const { file, identity, reason, publicKey } of files) {
    if (publicKey && tried.some(({ blob }) => blob.equals(publicKey))) continue;
    const found = reason === undefined ? identity && (await fileCandidate(identity, unlock)) : { label: file, reason };
    if (found && isUnusable(found)) skipped(found);
    else if (found) yield found;
  }
}

interface KeyFile {
  readonly file: string;
  readonly identity?: Identity | undefined;
  readonly publicKey?: Buffer | undefined;
  readonly reason?: string;
}

function readFile(file: string): KeyFile {
  try {
    const identity = readIdentity(file);
    return { file, identity, publicKey: identity?.publicKey ?? publicFile(file) };
  } catch (error) {
    if (error instanceof IdentityError) return { file, reason: error.message, publicKey: publicFile(file) };
    throw error;
  }
}

async function agentKeys(agent: string | undefined, skipped: (unusable: Unusable) => void, over: AbortSignal): Promise<AgentKey[]> {
  if (agent === undefined) return [];
  try {
    return await listAgentKeys(agent, over);
  } catch (error) {
    if (!(error instanceof AgentError)) throw error;
    skipped({ label: 'agent', reason: error.message });
    return [];
  }
}

function agentCandidate(agent: string, { blob, comment }: AgentKey, over: AbortSignal): Candidate | Unusable {
  const label = `agent key ${comment}`;
  const reason = unusableType(typeOfKey(blob));
  if (reason !== undefined) return { label, reason };
  return { label, publicKey: blob, sign: (bytes, algorithm) => signByAgent(agent, { blob, bytes, algorithm }, over) };
}

async function fileCandidate(identity: Identity, unlock: Unlock): Promise<Candidate | Unusable> {
  const label = identity.file;
  let opened: KeyObject | undefined;
  const open = async (): Promise<KeyObject> => {
    opened ??= identity.isEncrypted ? await unlock(identity) : identity.open();
    if (!opened) throw new IdentityError('its passphrase is not known');
    return opened;
  };
  try {
    const publicKey = identity.publicKey ?? wireKey(await open());
    const reason = publicKey ? unusableType(typeOfKey(publicKey)) : 'keys of its type are not supported';
    if (!publicKey || reason !== undefined) return { label, reason: reason! };
    return { label, publicKey, sign: async (bytes, algorithm) => sign(digestOf(algorithm), bytes, await open()) };
  } catch (error) {
    if (error instanceof IdentityError) return { label, reason: error.message };
    throw error;
  }
}

/** The hash that goes with an algorithm (RFC 5656, RFC 8332); ed25519 has its own. */
function digestOf(algorithm: string): string | null {
  const digests: Record<string, string> = {
    'ecdsa-sha2-nistp256': 'sha256',
    'ecdsa-sha2-nistp384': 'sha384',
    'ecdsa-sha2-nistp521': 'sha512',
    'rsa-sha2-256': 'sha256',
    'rsa-sha2-512': 'sha512',
  };
  return digests[algorithm] ?? null;
}
