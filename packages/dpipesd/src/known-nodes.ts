// Which nodes are known: those that the settings name, the exporters of the LAN, and what a registry has. Nobody is asked before somebody
// wants to know.
import { Failure, reasonOf } from '@dipus/proto/failure';
import type { RegistryUrl } from '@dipus/proto/registry-url';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import type { Tree } from '@dipus/tree/root';

/** A node, and what its source says of it. */
interface KnownNode {
  readonly uri: string;
}

/** What a source has said. */
interface Answer {
  /** How old the nodes are, in milliseconds; undefined: it has told none yet. */
  readonly age?: number;
  readonly nodes: readonly KnownNode[];
  /** Why they are no newer. */
  readonly error?: string;
}

/** The last answer of a source. */
export interface NodeSource extends Answer {
  readonly source: 'settings' | 'mdns' | 'registry';
  /** Which one. */
  readonly registry?: string;
}

export interface NodeSources {
  /** URIs that the settings have. */
  readonly nodes: readonly string[];
  readonly registry: RegistryUrl | undefined;
  readonly tree: Tree;
  readonly stop: AbortSignal;
}

/**
 * Asks the sources that were not asked just now, timing.nodesMs at most, and returns what each has said last. Never rejects: what is wrong
 * with one source is told with it.
 */
export type TellNodes = () => Promise<NodeSource[]>;

/** Ends what is asked when `stop` aborts. */
export function knownNodes({ nodes, registry, tree, stop }: NodeSources): TellNodes {
  const since = Date.now();
  const named = nodes.map((uri) => ({ uri }));
  const onLan = remembered('the LAN', (over) => findOnLan(over), stop);
  const registered = registry && remembered(registry.printed, (over) => findRegistered(registry, tree, over), stop);
  return async () => {
    const [lan, entries] = await Promise.all([onLan(), registered?.()]);
    return [
      { source: 'settings', age: Date.now() - since, nodes: named },
      { source: 'mdns', ...lan },
      ...(registry && entries ? [{ source: 'registry' as const, registry: registry.printed, ...entries }] : []),
    ];
  };
}

/** Nodes that a source has; may go on until `over` aborts, when nobody waits for it any more. Rejects with Failure. */
type Ask = (over: AbortSignal) => Promise<readonly KnownNode[]>;

function remembered(what: string, ask: Ask, stop: AbortSignal): () => Promise<Answer> {
  let answer: Answer & { readonly at?: number } = { nodes: [] };
  let askedAt = -Infinity;
  let asking: Promise<void> | undefined;
  const askAgain = async (): Promise<void> => {
    const over = new AbortController();
    const end = AbortSignal.any([stop, over.signal]);
    const late = pause(timing.nodesMs, end).then(() => {
      throw new Failure('ask', what, `no answer within ${timing.nodesMs / 1000} s`);
    });
    try {
      const nodes = await Promise.race([ask(end), late]);
      answer = { at: Date.now(), nodes };
    } catch (error) {
      answer = { ...answer, error: error instanceof Failure ? error.message : reasonOf(error) };
    }
    over.abort();
    askedAt = Date.now();
    asking = undefined;
  };
  return async () => {
    if (Date.now() - askedAt >= timing.nodesKeptMs) asking ??= askAgain();
    await asking;
    const { at, ...told } = answer;
    return { ...(at !== undefined && { age: Date.now() - at }), ...told };
  };
}

async function findOnLan(over: AbortSignal): Promise<KnownNode[]> {
  const [{ browse }, { exporterOf }] = await Promise.all([import('@dipus/mdns/browse'), import('@dipus/mdns/exporter')]);
  const found = new Map<string, KnownNode>();
  let trouble: unknown;
  const browser = await browse({
    found: (service) => {
      const exporter = exporterOf(service);
      if (exporter) found.set(service.name, { uri: exporter.uri, ...exporter.facts });
    },
    gone: ({ name }) => void found.delete(name),
    trouble: (error) => (trouble = error),
  });
  try {
    await pause(timing.discoverMs, over);
  } finally {
    await browser.close();
  }
  if (found.size === 0 && trouble !== undefined) throw trouble;
  return [...found.values()];
}

async function findRegistered(url: RegistryUrl, tree: Tree, over: AbortSignal): Promise<readonly KnownNode[]> {
  const [{ openRegistry }, { listNodes }] = await Promise.all([import('@dipus/registry/open'), import('@dipus/registry/nodes')]);
  const registry = await openRegistry(url, () => tree);
  const close = (): void => registry.close();
  over.addEventListener('abort', close, { once: true });
  try {
    return await listNodes(registry, url, 'dpipesd');
  } finally {
    over.removeEventListener('abort', close);
    registry.close();
  }
}
