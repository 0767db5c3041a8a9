import { AgentError } from './agent.ts';
import { findCandidates, type Candidate, type Unlock, type Unusable } from './candidates.ts';
import { IdentityError } from './identity.ts';
import { rsaBits, typeOfKey } from './public-key.ts';
import type { AuthConfig } from '../settings/ssh-config.ts';
import { attempt, resultOf, type TrialResult, type Trial } from './trial.ts';

/** Tries every key that was not tried before. Rejects with Failure when the connection ends. */
export async function tryKeys(trial: Trial, used: Set<string>): Promise<TrialResult> {
  const skipped = ({ label, reason }: Unusable): void => {
    trial.skipped.set(label, reason);
    trial.explain(`not usable: ${label}: ${reason}`);
  };
  const candidates = findCandidates(trial.config.auth, { unlock: unlockBy(trial), skipped, over: trial.connection.over });
  for await (const candidate of candidates) {
    const id = candidate.publicKey.toString('base64');
    if (used.has(id)) continue;
    used.add(id);
    const reason = whyNot(candidate, trial.config.auth);
    if (reason !== undefined) {
      skipped({ label: candidate.label, reason });
      continue;
    }
    const result = await tryKey(trial, candidate);
    if (result !== 'refused') return result;
  }
  return 'refused';
}

/** Asks whether the server would take the key, then proves that it is ours: nobody need type a passphrase in vain. */
async function tryKey(trial: Trial, candidate: Candidate): Promise<TrialResult> {
  const { stream } = trial.connection;
  const { user } = trial.config;
  trial.tried.push(candidate.label);
  for (const algorithm of algorithmsOf(candidate, trial.config.auth)) {
    const key = { type: algorithm, getPublicSSH: () => candidate.publicKey };
    const known = trial.connection.hear(['USERAUTH_PK_OK', 'USERAUTH_SUCCESS', 'USERAUTH_FAILURE']);
    stream.authPK(user, key);
    const heard = await known;
    if (heard.event !== 'USERAUTH_PK_OK') {
      const result = resultOf(trial, heard);
      trial.explain(`${candidate.label} (${algorithm}): ${result}`);
      if (result !== 'refused') return result;
      continue;
    }
    const result = await proveKey(trial, candidate, algorithm);
    trial.explain(`${candidate.label} (${algorithm}): ${result}`);
    return result;
  }
  return 'refused';
}

async function proveKey(trial: Trial, candidate: Candidate, algorithm: string): Promise<TrialResult> {
  const key = { type: algorithm, getPublicSSH: () => candidate.publicKey };
  const asked = new Promise<[Buffer, (signature: Buffer) => void]>((resolve) => {
    trial.connection.stream.authPK(trial.config.user, key, (bytes, send) => resolve([bytes, send]));
  });
  const [bytes, send] = await asked;
  try {
    const signature = await trial.connection.orLost(candidate.sign(bytes, algorithm));
    return await attempt(trial, () => send(signature));
  } catch (error) {
    if (!(error instanceof AgentError || error instanceof IdentityError)) throw error;
    trial.skipped.set(candidate.label, error.message);
    return 'refused';
  }
}

/** Why the user's settings forbid a key; undefined where they do not. */
function whyNot(candidate: Candidate, auth: AuthConfig): string | undefined {
  const bits = rsaBits(candidate.publicKey);
  if (bits !== undefined && bits < auth.leastRsaBits) return `its ${bits} bits are fewer than ${auth.leastRsaBits}`;
  return algorithmsOf(candidate, auth).length === 0 ? 'PubkeyAcceptedAlgorithms does not have its type' : undefined;
}

function algorithmsOf({ publicKey }: Candidate, { keyAlgorithms }: AuthConfig): string[] {
  const type = typeOfKey(publicKey);
  const all = type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type];
  return all.filter((name) => keyAlgorithms?.includes(name) ?? true);
}

function unlockBy({ prompter, connection, config }: Trial): Unlock {
  return async (identity) => {
    if (!prompter) return undefined;
    for (let count = 0; count < config.auth.promptCount; count++) {
      const passphrase = await prompter.secret(`Passphrase of ${identity.file}: `, connection.over);
      if (passphrase === '') return undefined;
      const key = identity.open(passphrase);
      if (key) return key;
      prompter.tell('That is not its passphrase.');
    }
    return undefined;
  };
}
