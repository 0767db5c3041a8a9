// The sockets that a target of a route may mean: those of rundirs and of the tree.
import { eraOfProtocol, type Era } from '@dipus/proto/ipc-frame';
import { ownNames, type IpcTarget } from '@dipus/proto/ipc-target';
import { findServices } from '@dipus/tree/list';
import type { ServiceToOpen } from '@dipus/tree/open-service';
import type { Tree } from '@dipus/tree/root';
import { trustedRundir, type Rundir } from './rundir.ts';

/** Where services are looked for. */
export interface Grounds {
  readonly tree: Tree;
  readonly rundirs: readonly Rundir[];
}

/**
 * The sockets of a local target, the first to be tried first. `era`: whose frames they have to speak, where they speak any; a rundir comes
 * before the tree, which is looked at only when more is wanted. Throws Failure.
 */
export function* socketsOf(
  target: Exclude<IpcTarget, { kind: 'uri' }>,
  { tree, rundirs }: Grounds,
  era?: Era,
): Generator<ServiceToOpen, void> {
  if (target.kind === 'path') {
    yield { file: target.path };
    return;
  }
  const { name } = target;
  for (const rundir of rundirs) {
    if (name === undefined || (era !== undefined && rundir.era !== era)) continue;
    const trusted = trustedRundir(tree, rundir);
    if (trusted) yield { file: `${trusted.root}/${name}`, trustedBy: trusted };
  }
  for (const { entry, named } of findServices(tree, target.ask))
    if (!ownNames.includes(entry.name) && speaks(entry.protocol, era)) yield { file: entry.file, trustedBy: named ? undefined : tree };
}

function speaks(protocol: string, era: Era | undefined): boolean {
  const own = eraOfProtocol(protocol);
  return era === undefined || own === undefined || own === era;
}
