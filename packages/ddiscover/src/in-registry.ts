// What a registry has.
import { hostname, networkInterfaces } from 'node:os';
import type { RegistryEntry } from '@dipus/registry/registry-entry';
import { openRegistry } from '@dipus/registry/open';
import type { RegistryUrl } from '@dipus/proto/registry-url';
import { openTree } from '@dipus/tree/root';
import { parseUri } from '@dipus/proto/uri';
import type { Finding, Found } from './found.ts';

export interface RegistryOptions {
  readonly registry: RegistryUrl;
  /** Of the entries. */
  readonly name: string;
  readonly isWatch: boolean;
}

/** Asks once, or until it is stopped; while it watches, a registry that is lost is trouble. */
export async function findInRegistry(options: RegistryOptions, finding: Finding, stop: AbortSignal): Promise<void> {
  const { name, isWatch } = options;
  const { found, gone, ready, trouble } = finding;
  const registry = await openRegistry(options.registry, () => openTree(process.env));
  try {
    if (isWatch) {
      await registry.watch(
        name,
        {
          added: (key, entry) => found(foundBy(key, entry)),
          removed: (key, entry) => gone(foundBy(key, entry)),
          ready,
          trouble,
        },
        stop,
      );
    } else for (const [at, entry] of (await registry.list(name)).entries()) found(foundBy(String(at), entry));
  } finally {
    registry.close();
  }
}

function foundBy(key: string, { uri, ...facts }: RegistryEntry): Found {
  return { key, uri, isOwn: isOwn(uri), facts };
}

function isOwn(text: string): boolean {
  const uri = parseUri(text);
  return uri.scheme === 'unix' || ownNames().has(uri.host);
}

let names: ReadonlySet<string> | undefined;

/** Of this host, and its addresses. They may change, but not while thousands of entries are told of at once. */
function ownNames(): ReadonlySet<string> {
  if (names) return names;
  setImmediate(() => (names = undefined));
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all?.map(({ address }) => address) ?? []);
  return (names = new Set([hostname(), hostname().split('.')[0]!, 'localhost', ...addresses]));
}
