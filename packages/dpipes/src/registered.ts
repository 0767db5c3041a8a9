// Where a registry says that stages can run.
import type { Ask } from '@dipus/proto/ask';
import type { RegistryUrl } from '@dipus/proto/registry-url';
import { parseUri, type Uri } from '@dipus/proto/uri';
import { listNodes } from '@dipus/registry/nodes';
import { openRegistry } from '@dipus/registry/open';
import type { Registry } from '@dipus/registry/registry';
import type { Tree } from '@dipus/tree/root';

/** Of very many nodes so many are asked what they are doing, which ones is left to chance. */
const maxAsked = 64;

export class Registered {
  readonly #url: RegistryUrl;
  readonly #openTree: () => Tree;
  #registry: Promise<Registry> | undefined;

  constructor(url: RegistryUrl, openTree: () => Tree) {
    this.#url = url;
    this.#openTree = openTree;
  }

  /** URIs of what may answer an ask; `host` is what the node has to be called, where that matters. Rejects with Failure. */
  async find(ask: Ask, host: string | undefined): Promise<Uri[]> {
    this.#registry ??= openRegistry(this.#url, this.#openTree);
    const registry = await this.#registry;
    const entries = await listNodes(registry, this.#url, ask.segments.join('.'));
    // Exporters, which are asked themselves.
    if (this.#url.kind === 'dns') return entries.map(({ uri }) => parseUri(uri));
    const wanted = host === undefined ? entries : entries.filter((entry) => entry.host === host || entry.uri === host);
    // An exporter that was started anew has two of them for a while.
    const uris = [...new Set(wanted.map(({ uri }) => uri))];
    return (host === undefined ? someOf(uris) : uris).map(parseUri);
  }

  close(): void {
    void this.#registry?.then((one) => one.close());
  }
}

function someOf<T>(items: readonly T[]): readonly T[] {
  if (items.length <= maxAsked) return items;
  const left = [...items];
  return Array.from({ length: maxAsked }, () => left.splice(Math.floor(Math.random() * left.length), 1)[0]!);
}
