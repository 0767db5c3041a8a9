import { randomBytes } from 'node:crypto';
import { timing } from '@dipus/proto/timing';
import { delay, pause } from '@dipus/proto/waiting';
import { formatValue } from './registry-entry.ts';
import { EtcdError, told } from './etcd-answer.ts';
import type { EtcdClient } from './etcd-client.ts';
import { keepTrying } from './keep-trying.ts';
import { encode } from './range.ts';
import type { RegisterOptions, Registration } from './registry.ts';
import { EntryKeys } from './entry-keys.ts';

/** Of one transaction; etcd allows 128 unless set otherwise. */
const maxOperations = 100;

/** Entries under a lease that is renewed, and granted anew where it was lost. */
export class EtcdRegistration implements Registration {
  readonly #client: EtcdClient;
  readonly #prefix: string;
  readonly #options: RegisterOptions;
  readonly #keys: EntryKeys;
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  /** Aborted when there is something to do. */
  #change = new AbortController();
  #lease: string | undefined;
  #ttlMs = timing.leaseMs;
  /** What stands under the lease. */
  #written = new Map<string, string>();

  constructor(client: EtcdClient, prefix: string, options: RegisterOptions) {
    this.#client = client;
    this.#prefix = prefix;
    this.#options = options;
    this.#keys = new EntryKeys(randomBytes(8).toString('hex'));
    this.#ended = keepTrying((isWell) => this.#keep(isWell), {
      stop: this.#stop.signal,
      maxPauseMs: timing.leaseMs,
      tell: options.warn,
    });
    this.#ended.catch(options.warn);
  }

  update(): void {
    this.#change.abort();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#change.abort();
    await Promise.race([this.#ended.catch(() => {}).then(() => this.#revoke()), delay(timing.partingMs)]);
  }

  /** Does what is to be done now, and waits for the next time. */
  async #keep(isWell: () => void): Promise<void> {
    try {
      if (this.#lease !== undefined && !(await this.#isRenewed())) this.#forget();
      if (this.#lease === undefined) await this.#grant();
      this.#change = new AbortController();
      await this.#write();
    } catch (error) {
      // A lost lease is granted anew, at once.
      if (error instanceof EtcdError && error.isNotFound) return this.#forget();
      throw told('register at', this.#client.printed, error);
    }
    isWell();
    if (!this.#stop.signal.aborted) await pause(this.#ttlMs / 3, this.#change.signal);
  }

  #forget(): void {
    if (this.#lease !== undefined) this.#options.explain(`${this.#client.printed}: the lease was lost`);
    this.#lease = undefined;
    this.#written = new Map();
  }

  async #grant(): Promise<void> {
    const answer = await this.#client.call('/v3/lease/grant', { TTL: String(Math.max(1, Math.ceil(timing.leaseMs / 1000))) });
    const [lease, ttl] = [answer['ID'], Number(answer['TTL'])];
    if (typeof lease !== 'string' || !(ttl > 0)) throw new EtcdError('it grants no lease', undefined);
    this.#lease = lease;
    this.#ttlMs = Math.min(ttl * 1000, timing.leaseMs);
  }

  async #isRenewed(): Promise<boolean> {
    const { result } = await this.#client.call('/v3/lease/keepalive', { ID: this.#lease });
    return Number((result as { TTL?: unknown } | undefined)?.TTL ?? 0) > 0;
  }

  /** Makes of what stands there what is wanted. The keys are nobody else's, so nothing of others is ever touched. */
  async #write(): Promise<void> {
    const values = this.#keys.values(this.#options.entries(this.#client.localAddress), formatValue);
    const changed = [...values].filter(([key, value]) => this.#written.get(key) !== value);
    const gone = [...this.#written.keys()].filter((key) => !values.has(key));
    const keyOf = (key: string): string => encode(`${this.#prefix}/${key}`);
    const operations = [
      ...changed.map(([key, value]) => ({ request_put: { key: keyOf(key), value: encode(value), lease: this.#lease } })),
      ...gone.map((key) => ({ request_delete_range: { key: keyOf(key) } })),
    ];
    for (let from = 0; from < operations.length; from += maxOperations) {
      const { succeeded } = await this.#client.call('/v3/kv/txn', { success: operations.slice(from, from + maxOperations) });
      if (succeeded !== true) throw new EtcdError('it refuses to write', undefined);
    }
    this.#written = values;
    if (operations.length > 0) this.#options.explain(`${this.#client.printed}: has ${values.size} entries of this process`);
  }

  async #revoke(): Promise<void> {
    if (this.#lease !== undefined) await this.#client.call('/v3/lease/revoke', { ID: this.#lease }).catch(() => {});
  }
}
