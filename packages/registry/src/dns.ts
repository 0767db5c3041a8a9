import { Resolver } from 'node:dns/promises';
import { codeOf, Failure } from '@dipus/proto/failure';
import type { DnsUrl } from '@dipus/proto/registry-url';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import { parseValue, type RegistryEntry } from './registry-entry.ts';
import { keepTrying } from './keep-trying.ts';
import { Known } from './known.ts';
import type { Registration, Registry, RegistryEvents } from './registry.ts';

/** Exporters that SRV records name (RFC 2782), whose order is theirs. A TXT record `seps=1` beside them says that they speak TLS. */
export class DnsRegistry implements Registry {
  readonly #url: DnsUrl;

  constructor(url: DnsUrl) {
    this.#url = url;
  }

  async list(name: string): Promise<RegistryEntry[]> {
    this.#checkName(name);
    const values = await this.#read();
    return [...values.values()].map((value) => parseValue(name, value)).filter((entry) => entry !== undefined);
  }

  async watch(name: string, events: RegistryEvents, stop: AbortSignal): Promise<void> {
    this.#checkName(name);
    const known = new Known(name, events);
    const work = async (isWell: () => void): Promise<void> => {
      known.replace(await this.#read());
      isWell();
      await pause(timing.rescanMs, stop);
    };
    await keepTrying(work, { stop, maxPauseMs: timing.maxBackoffMs, tell: (error) => events.trouble(error) });
  }

  register(): Registration {
    throw new Failure('register at', this.#url.printed, 'DNS can only be read');
  }

  close(): void {}

  #checkName(name: string): void {
    if (name !== 'dipus') throw new Failure('ask', this.#url.printed, `DNS names exporters, not ${name}`);
  }

  /** URIs by themselves. */
  async #read(): Promise<Map<string, string>> {
    const { server, domain, printed } = this.#url;
    const resolver = new Resolver({ timeout: timing.registryMs / 2, tries: 2 });
    if (server !== undefined) resolver.setServers([server]);
    const [records, texts] = await Promise.all([
      resolver.resolveSrv(domain).catch((error: unknown) => {
        // The name is there, and has none.
        if (codeOf(error) === 'ENODATA') return [];
        throw new Failure('ask', printed, reasons[codeOf(error) ?? ''] ?? error);
      }),
      resolver.resolveTxt(domain).catch(() => []),
    ]);
    const scheme = texts.some((parts) => parts.join('') === 'seps=1') ? 'seps' : 'sep';
    const sorted = records.toSorted((one, other) => one.priority - other.priority || other.weight - one.weight);
    const uris = sorted.map((record) => `${scheme}://${record.name}:${record.port}`);
    return new Map(uris.map((uri) => [uri, uri]));
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such name',
  ETIMEOUT: 'no answer from the name server',
  ECONNREFUSED: 'no answer from the name server',
  ESERVFAIL: 'the name server has failed',
  EREFUSED: 'the name server refuses to answer',
};
