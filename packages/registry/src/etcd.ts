import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import { parseValue, type RegistryEntry } from './registry-entry.ts';
import { told } from './etcd-answer.ts';
import { EtcdClient } from './etcd-client.ts';
import { EtcdRegistration } from './etcd-registration.ts';
import { EtcdWatch } from './etcd-watch.ts';
import { keepTrying } from './keep-trying.ts';
import { Known } from './known.ts';
import type { EtcdUrl } from '@dipus/proto/registry-url';
import { rangeOf, readRange } from './range.ts';
import type { RegisterOptions, Registration, Registry, RegistryEvents } from './registry.ts';

/** A registry in etcd. Keys are `PREFIX/v1/NAME/HOST/BOOT-N`, of which BOOT is another one for each process that registers. */
export class EtcdRegistry implements Registry {
  readonly #url: EtcdUrl;
  readonly #client: EtcdClient;

  constructor(url: EtcdUrl) {
    this.#url = url;
    this.#client = new EtcdClient(url);
  }

  async list(name: string): Promise<RegistryEntry[]> {
    try {
      const { values } = await readRange(this.#client, rangeOf(this.#url.prefix, name));
      return [...values.values()].map((value) => parseValue(name, value)).filter((entry) => entry !== undefined);
    } catch (error) {
      throw told('ask', this.#client.printed, error);
    }
  }

  async watch(name: string, events: RegistryEvents, stop: AbortSignal): Promise<void> {
    const watch = new EtcdWatch(this.#client, rangeOf(this.#url.prefix, name), new Known(name, events));
    const work = async (isWell: () => void): Promise<void> => {
      try {
        await watch.follow(isWell, stop);
      } catch (error) {
        throw told('watch', this.#client.printed, error);
      }
      // Whatever ends a watch at once must not be asked without a pause.
      await pause(timing.appearMs, stop);
    };
    await keepTrying(work, { stop, maxPauseMs: timing.maxBackoffMs, tell: (error) => events.trouble(error) });
  }

  register(options: RegisterOptions): Registration {
    return new EtcdRegistration(this.#client, `${this.#url.prefix}/v1`, options);
  }

  close(): void {
    this.#client.close();
  }
}
