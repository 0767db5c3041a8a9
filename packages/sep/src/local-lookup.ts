// Names of the LAN where the system cannot resolve them.
import { lookup } from 'node:dns/promises';
import type { LookupAddress, LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { timing } from '@dipus/proto/timing';

/** Resolves `.local` names by multicast: gives addresses, or none within the time. */
export type ResolveLocal = (host: string, timeoutMs: number) => Promise<string[]>;

type Resolve = (host: string) => Promise<LookupAddress[]>;

/**
 * The system's way to resolve names; `.local` names that it does not know, or is slow to find, are asked for by `resolveLocal`. What was
 * found is kept: a multicast answer may take a second (RFC 6762 6), and every connection needs one.
 */
export function localLookup(resolveLocal: ResolveLocal): LookupFunction {
  const resolve = keeping((host) => resolveBoth(host, resolveLocal));
  return (host, options, callback) => {
    const tell = (found: readonly LookupAddress[]): void => {
      if (options.all) callback(null, [...found]);
      else callback(null, found[0]!.address, found[0]!.family);
    };
    const fail = (error: unknown): void => callback(error as NodeJS.ErrnoException, '');
    void addressesOf(host, options, resolve).then(tell, fail);
  };
}

function addressesOf(host: string, options: LookupOptions, resolve: Resolve): Promise<LookupAddress[]> {
  return /\.local\.?$/i.test(host) ? resolve(host.toLowerCase()) : lookup(host, { ...options, all: true });
}

/** Rejects with the system's reason where neither knows the name. */
async function resolveBoth(host: string, resolveLocal: ResolveLocal): Promise<LookupAddress[]> {
  const bySystem = lookup(host, { all: true });
  const early = await Promise.race([bySystem.catch(() => undefined), sleep(timing.systemNameMs)]);
  if (early) return early;
  const byMulticast = resolveLocal(host, timing.resolveMs).then((found) => {
    if (found.length === 0) throw new Error('nobody on the LAN has that name');
    return found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  });
  return Promise.any([bySystem, byMulticast]).catch(() => bySystem);
}

/** Keeps what was found as long as its record would live (RFC 6762 10), and looks again behind that while it is used. */
function keeping(resolve: Resolve): Resolve {
  const known = new Map<string, { found: LookupAddress[]; at: number }>();
  const asked = new Map<string, Promise<LookupAddress[]>>();
  const ask = (host: string): Promise<LookupAddress[]> => {
    const before = asked.get(host);
    if (before) return before;
    const answer = resolve(host)
      .then((found) => {
        known.set(host, { found, at: Date.now() });
        return found;
      })
      .finally(() => asked.delete(host));
    asked.set(host, answer);
    return answer;
  };
  return async (host) => {
    const kept = known.get(host);
    const ageMs = kept ? Date.now() - kept.at : Infinity;
    if (!kept || ageMs > timing.nameLifeMs) return ask(host);
    if (ageMs > timing.nameRefreshMs) void ask(host).catch(() => {});
    return kept.found;
  };
}
