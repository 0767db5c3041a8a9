import type { Context } from '@dipus/cli/run';
import { readService, type Wanted } from '@dipus/cli/service-operand';
import type { Tree } from '@dipus/tree/root';

/** Where a name leads by IPC_NETWORK; undefined where that says nothing of it. Rejects with Failure. */
export async function readRoute(service: string, openTree: () => Tree, { explain }: Context): Promise<Wanted | undefined> {
  // Without it that costs nothing.
  if (!process.env['IPC_NETWORK']) return undefined;
  const { wayOut } = await import('@dipus/ipc/way-out');
  const way = await wayOut(service, { tree: openTree(), environment: process.env, explain });
  if (!way) return undefined;
  return 'uri' in way ? readService(way.uri) : { file: way.services[0]!.file };
}
