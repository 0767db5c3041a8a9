// What a registry is told of an exporter: dipus-registry(5).
import { hostname } from 'node:os';
import { isIPv6 } from 'node:net';
import { everything } from '@dipus/proto/ask';
import { Failure } from '@dipus/proto/failure';
import { bracketed, isLoopback } from '@dipus/proto/ip-address';
import { parsePin } from '@dipus/proto/pin';
import type { RegistryUrl } from '@dipus/proto/registry-url';
import { targetOf } from '@dipus/proto/sep';
import type { RegistryEntry } from '@dipus/registry/registry-entry';
import { openRegistry } from '@dipus/registry/open';
import type { Tree } from '@dipus/tree/root';
import type { Announced } from './announcing.ts';
import type { Listening } from './listen.ts';
import type { Offer, View } from './offers.ts';

export interface RegisteringOptions {
  readonly registry: RegistryUrl;
  /** This host's name in service names. */
  readonly host: string;
  /** Names by which others reach this host, the first one first. */
  readonly names: readonly string[];
  readonly listening: readonly Listening[];
  /** What mDNS says of it too. */
  readonly text: Readonly<Record<string, string>>;
  readonly view: View;
  readonly tree: Tree;
  warn(error: unknown): void;
  explain(line: string): void;
}

/** Registers an exporter, and the stages that it offers, until it is closed. What goes wrong is told, and tried again. Throws Failure. */
export async function register(options: RegisteringOptions): Promise<Announced> {
  const { view, warn, explain } = options;
  const registry = await openRegistry(options.registry, () => options.tree);
  const since = Date.now();
  let isTold = false;
  const entries = (from: string | undefined): RegistryEntry[] => {
    const uris = urisOf(options, from);
    if (uris.length === 0 && !isTold)
      warn(
        new Failure('register at', options.registry.printed, 'it listens on loopback alone').withHint('-l names an address of the network'),
      );
    isTold = uris.length === 0;
    return uris.flatMap((uri) => entriesAt(uri, options, since));
  };
  const registration = registry.register({ entries, warn, explain });
  const update = (): void => registration.update();
  const unsubscribe = view.subscribe({ added: update, removed: update });
  return {
    hostName: undefined,
    close: async () => {
      unsubscribe();
      await registration.close();
      registry.close();
    },
  };
}

function entriesAt(uri: string, { host, text, view }: RegisteringOptions, since: number): RegistryEntry[] {
  const pin = parsePin(text['pin'] ?? '');
  const shared = { since, ...(pin !== undefined && { pin }) };
  const stages = view.list(everything).flatMap((offer) => {
    const name = stageName(offer);
    return name === undefined ? [] : [{ ...shared, name, uri: `${uri}${targetOf(offer)}`, host: offer.host }];
  });
  return [{ ...shared, name: 'dipus', uri, host }, ...stages];
}

/** What a registry calls a service that may be a stage. */
function stageName({ protocol, name, isForbidden }: Offer): string | undefined {
  if (isForbidden) return undefined;
  if (protocol === 'dp') return `dp.${name}`;
  return protocol === '' && name === 'dpipesd' ? name : undefined;
}

/**
 * Where others reach it: at its own addresses, and where it listens on all of them, by its first name, or else at the address by which it
 * reaches the registry. Loopback is for a registry on loopback alone.
 */
function urisOf({ listening, names }: RegisteringOptions, from: string | undefined): string[] {
  const uris = listening.flatMap((one) => {
    if (!isWildcard(one.address)) return one.isLoopback && !isLoopback(from ?? '') ? [] : [one.uri];
    const own = names[0] ?? (isOfFamily(one, from) ? from : undefined);
    // Its twin of the other family has the same name.
    const hasTwin = listening.some((other) => other.port === one.port && isWildcard(other.address) && isOfFamily(other, from));
    if (own === undefined && hasTwin) return [];
    return [`${one.uri.slice(0, one.uri.indexOf(':'))}://${bracketed(own ?? hostname())}:${one.port}`];
  });
  return [...new Set(uris)];
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

function isOfFamily({ address }: Listening, from: string | undefined): boolean {
  return from !== undefined && isIPv6(from) === isIPv6(address);
}
