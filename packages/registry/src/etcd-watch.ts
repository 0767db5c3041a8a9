import { timing } from '@dipus/proto/timing';
import { EtcdError, errorIn, type Answer } from './etcd-answer.ts';
import type { EtcdClient } from './etcd-client.ts';
import type { Known } from './known.ts';
import { clusterIn, encode, listIn, pairIn, readRange, revisionIn, type KeyRange } from './range.ts';

/** Follows a range: all of it first, then from that revision on whatever happens, over as many connections as that takes. */
export class EtcdWatch {
  readonly #client: EtcdClient;
  readonly #range: KeyRange;
  readonly #known: Known;
  /** Up to when all is known. */
  #revision: bigint | undefined;
  #cluster = '';

  constructor(client: EtcdClient, range: KeyRange, known: Known) {
    this.#client = client;
    this.#range = range;
    this.#known = known;
  }

  /**
   * Follows by one connection, until it has been silent or has ended. Called again it goes on from there. Rejects as EtcdClient.call does.
   */
  async follow(isWell: () => void, stop: AbortSignal): Promise<void> {
    if (this.#revision === undefined) await this.#readAll();
    const { key, end } = this.#range;
    const create = { key: encode(key), range_end: encode(end), start_revision: String(this.#revision! + 1n) };
    let isCreated = false;
    const take = (line: Answer): boolean => {
      const result = line['result'] as Answer | undefined;
      const failure = errorIn(line) ?? refusalIn(result);
      if (failure) throw failure;
      if (typeof result !== 'object' || result === null) return false;
      isCreated ||= this.#isCreated(result);
      if (isCreated) isWell();
      if (isCreated) this.#apply(result);
      return isCreated;
    };
    try {
      await this.#client.stream('/v3/watch', { create_request: create }, { take, quietMs: timing.quietMs, stop });
    } catch (error) {
      // What was missed may be in no history any more: all of it is read again.
      if (error instanceof EtcdError) this.#revision = undefined;
      if (error instanceof EtcdError && error.isCompacted) return;
      throw error;
    }
    if (!isCreated && !stop.aborted) throw new EtcdError(this.#whyNot(), undefined);
  }

  async #readAll(): Promise<void> {
    const { values, revision, cluster } = await readRange(this.#client, this.#range);
    this.#known.replace(values);
    this.#revision = revision;
    this.#cluster = cluster;
  }

  /** Another etcd, or one that has lost its data, would have us wait for a revision of the old one. */
  #isCreated(result: Answer): boolean {
    if (result['created'] !== true) return false;
    const isSame = clusterIn(result) === this.#cluster && revisionIn(result) >= this.#revision!;
    if (!isSame) this.#revision = undefined;
    return isSame;
  }

  #whyNot(): string {
    return this.#revision === undefined ? 'it is another etcd, or has lost what it had' : 'it ends a watch that it has not begun';
  }

  #apply(result: Answer): void {
    for (const event of listIn(result['events'])) {
      const { type, kv } = event as Answer;
      const [key, value] = pairIn(kv);
      if (type === 'DELETE') this.#known.remove(key);
      else this.#known.put(key, value);
      this.#revision = max(this.#revision!, revisionOf(kv));
    }
  }
}

/** Why a watch was cancelled. */
function refusalIn(result: Answer | undefined): EtcdError | undefined {
  if (result?.['canceled'] !== true) return undefined;
  const { cancel_reason: reason, compact_revision: compacted } = result;
  return new EtcdError(
    typeof reason === 'string' && reason !== '' ? reason : 'it has cancelled the watch',
    undefined,
    compacted !== undefined,
  );
}

function revisionOf(kv: unknown): bigint {
  const { mod_revision: revision } = (kv ?? {}) as Answer;
  if (typeof revision !== 'string' || !/^\d{1,19}$/.test(revision)) throw new EtcdError('it tells no revision', undefined);
  return BigInt(revision);
}

function max(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}
