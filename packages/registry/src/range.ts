import { EtcdError, type Answer } from './etcd-answer.ts';
import type { EtcdClient } from './etcd-client.ts';

/** All keys from `key` to before `end`. */
export interface KeyRange {
  readonly key: string;
  readonly end: string;
}

/** What was in a range, and when. */
export interface RangeState {
  /** By their keys. */
  readonly values: ReadonlyMap<string, string>;
  readonly revision: bigint;
  /** Which etcd that was. */
  readonly cluster: string;
}

const pageSize = 1000;
const maxEntries = 100_000;

/** The keys of the entries of a name. */
export function rangeOf(prefix: string, name: string): KeyRange {
  // 0 is the character after the slash.
  return { key: `${prefix}/v1/${name}/`, end: `${prefix}/v1/${name}0` };
}

/** Reads all of a range as it was at one moment. Rejects as EtcdClient.call does. */
export async function readRange(client: EtcdClient, { key, end }: KeyRange): Promise<RangeState> {
  const values = new Map<string, string>();
  let revision: bigint | undefined;
  let cluster = '';
  for (let from: string | undefined = key; from !== undefined;) {
    const at = revision === undefined ? {} : { revision: String(revision) };
    const answer: Answer = await client.call('/v3/kv/range', { key: encode(from), range_end: encode(end), limit: String(pageSize), ...at });
    const pairs = listIn(answer['kvs']).map(pairIn);
    for (const [name, value] of pairs) values.set(name, value);
    if (values.size > maxEntries) throw new EtcdError(`it has more than ${maxEntries} entries of a name`, undefined);
    revision ??= revisionIn(answer);
    cluster = clusterIn(answer);
    // The least key after the last one.
    from = answer['more'] === true && pairs.length > 0 ? `${pairs.at(-1)![0]}\0` : undefined;
  }
  return { values, revision: revision!, cluster };
}

export function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function decode(value: unknown): string {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString() : '';
}

/** The key and the value of a pair; one that is empty is left out by etcd. */
export function pairIn(pair: unknown): [key: string, value: string] {
  const { key, value } = (pair ?? {}) as Answer;
  return [decode(key), decode(value)];
}

export function listIn(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The revision of the store when it answered. Throws EtcdError. */
export function revisionIn(answer: Answer): bigint {
  const { revision } = headerOf(answer);
  if (typeof revision !== 'string' || !/^\d{1,19}$/.test(revision)) throw new EtcdError('it tells no revision', undefined);
  return BigInt(revision);
}

export function clusterIn(answer: Answer): string {
  return String(headerOf(answer)['cluster_id']);
}

function headerOf({ header }: Answer): Answer {
  return typeof header === 'object' && header !== null ? (header as Answer) : {};
}
