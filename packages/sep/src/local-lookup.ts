// Names of the LAN where the system cannot resolve them.
import { lookup } from 'node:dns/promises';
import type { LookupAddress, LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { timing } from '@dipus/proto/timing';

/** Resolves `.local` names by multicast: gives addresses, or none within the time. */
export type ResolveLocal = (host: string, timeoutMs: number) => Promise<string[]>;

/** The system's way to resolve names; for `.local` names that it does not know, `resolveLocal`'s. */
export function localLookup(resolveLocal: ResolveLocal): LookupFunction {
  return (host, options, callback) => {
    const tell = (found: readonly LookupAddress[]): void => {
      if (options.all) callback(null, [...found]);
      else callback(null, found[0]!.address, found[0]!.family);
    };
    const fail = (error: unknown): void => callback(error as NodeJS.ErrnoException, '');
    void addressesOf(host, options, resolveLocal).then(tell, fail);
  };
}

async function addressesOf(host: string, options: LookupOptions, resolveLocal: ResolveLocal): Promise<LookupAddress[]> {
  try {
    return await lookup(host, { ...options, all: true });
  } catch (error) {
    if (!/\.local\.?$/i.test(host)) throw error;
    const found = await resolveLocal(host, timing.resolveMs).catch(() => []);
    if (found.length === 0) throw error;
    return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  }
}
