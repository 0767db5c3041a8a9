// Names of the LAN where the system cannot resolve them.
import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { timing } from '@dipus/proto/timing';

/** Resolves `.local` names by multicast: gives addresses, or none within the time. */
export type ResolveLocal = (host: string, timeoutMs: number) => Promise<string[]>;

/** The system's way to resolve names; for `.local` names that it does not know, `resolveLocal`'s. */
export function localLookup(resolveLocal?: ResolveLocal): LookupFunction {
  return (host, options, callback) => {
    lookup(host, options, (error, address, family) => {
      if (!error || !resolveLocal || !/\.local\.?$/i.test(host)) return callback(error, address, family);
      resolveLocal(host, timing.resolveMs).then(
        (addresses) => {
          const found = addresses.map((each) => ({ address: each, family: each.includes(':') ? 6 : 4 }));
          if (found.length === 0) callback(error, address, family);
          else if (options.all) callback(null, found);
          else callback(null, found[0]!.address, found[0]!.family);
        },
        () => callback(error, address, family),
      );
    });
  };
}
