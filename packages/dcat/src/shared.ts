// Sockets that an importer has for services of an ssh host: to use one is to share its connection.
import { matches, type Ask, type ServiceInArea } from '@dipus/proto/ask';
import { parseServicePath } from '@dipus/proto/name';
import { parseUri, UriError, type HostUri } from '@dipus/proto/uri';
import { askInfo } from '@dipus/session/control-client';
import { userName } from '@dipus/tree/accounts';
import type { Entry } from '@dipus/tree/entry';
import { findServices } from '@dipus/tree/list';
import { openService } from '@dipus/tree/open-service';
import type { Tree } from '@dipus/tree/root';

interface Origin extends ServiceInArea {
  readonly entry: Entry;
}

/** This user's imports of what a URI asks for, in the order of the remote host; undefined where the tree may not be used. */
export async function findShared(uri: HostUri, openTree: () => Tree): Promise<{ tree: Tree; entries: Entry[] } | undefined> {
  let tree: Tree;
  try {
    tree = openTree();
  } catch {
    return undefined;
  }
  const area = userName(tree.trust.uid);
  const imports = findServices(tree, { segments: [area], hasGlob: false }).filter(({ entry }) => entry.area === area && entry.hasControl);
  const asked = imports.map(({ entry }) => entry).filter((entry) => mayAnswer(uri.ask, entry));
  const origins = await Promise.all(asked.map((entry) => originOf(uri, tree, entry)));
  const found = origins.filter((origin) => origin !== undefined);
  return { tree, entries: matches(uri.ask, found).map(({ service }) => service.entry) };
}

// On its own host it may have another host name and number: only its origin tells.
function mayAnswer({ segments, hasGlob }: Ask, entry: Entry): boolean {
  const last = segments.at(-1);
  if (hasGlob || last === undefined || last === entry.name || last.startsWith(`${entry.name}.`)) return true;
  const paths = [segments, segments.slice(1)].map((each) => each.join('/'));
  return paths.some((path) => path === '' || `${entry.protocol}/`.startsWith(`${path}/`));
}

/** What a socket leads to, where that is on the host of the URI. */
async function originOf(uri: HostUri, tree: Tree, entry: Entry): Promise<Origin | undefined> {
  const info = await askInfo(() => openService({ file: entry.file, trustedBy: tree }, 'control')).catch(() => undefined);
  const origin = readOrigin(info?.origin);
  if (!origin || origin.host !== uri.host || origin.user !== uri.user || origin.port !== uri.port || origin.root !== uri.root)
    return undefined;
  const [area = '', ...rest] = origin.ask.segments;
  const service = parseServicePath(rest.join('/'));
  return service && { ...service, area, entry };
}

function readOrigin(text: string | undefined): HostUri | undefined {
  if (text === undefined) return undefined;
  try {
    const uri = parseUri(text);
    return uri.scheme === 'ssh' ? uri : undefined;
  } catch (error) {
    if (error instanceof UriError) return undefined;
    throw error;
  }
}
