// Where a name leads by IPC_NETWORK, for tools of ours as for programs of libipc.
import { existsSync } from 'node:fs';
import { codeOf, Failure } from '@dipus/proto/failure';
import { parseTarget, TargetError } from '@dipus/proto/ipc-target';
import { isName } from '@dipus/proto/name';
import { isPrintable } from '@dipus/proto/printable';
import { networkTarget } from '@dipus/proto/rules';
import { isUri } from '@dipus/proto/uri';
import type { Entry } from '@dipus/tree/entry';
import type { ServiceToOpen } from '@dipus/tree/open-service';
import type { Tree } from '@dipus/tree/root';
import { Refused, withCode } from './answer.ts';
import { askIpcd } from './ask-ipcd.ts';
import { socketsOf, type Grounds } from './local-target.ts';
import { rundirsOf } from './rundir.ts';
import { wayTo } from './way-in.ts';

/** A URI, or sockets of this host, the first to be tried first; at least one. */
export type WayOut = { readonly uri: string } | { readonly services: readonly ServiceToOpen[] };

export interface WayOutOptions {
  readonly tree: Tree;
  readonly environment: Readonly<Record<string, string | undefined>>;
  explain(line: string): void;
}

/**
 * Where a service leads that has an item in $IPC_NETWORK: where ipcd says, if one runs that answers this user, else where the item says.
 * Undefined where it has none. Rejects with Failure, its code EACCES where it may not be used, and ENOENT where it is not there.
 */
export async function wayOut(service: string, { tree, environment, explain }: WayOutOptions): Promise<WayOut | undefined> {
  const network = environment['IPC_NETWORK'] ?? '';
  const item = isName(service) && !service.includes('*') ? networkTarget(network, service) : undefined;
  if (item === undefined) return undefined;
  const grounds: Grounds = { tree, rundirs: rundirsOf(environment, []) };
  try {
    if (!isPrintable(network)) throw new Refused('IPC_NETWORK has control characters');
    const answer = await askIpcd(tree, `out ${service} ${network}`, answersUs);
    explain(`${service} is ${answer ?? item}, by ${answer === undefined ? 'IPC_NETWORK' : 'ipcd'}`);
    if (answer === undefined) return wayByItem(item, grounds);
    return isUri(answer) ? { uri: answer } : { services: [wayTo(grounds, answer).service] };
  } catch (error) {
    if (error instanceof Refused) throw new Failure('use', service, withCode(error));
    if (error instanceof TargetError) throw new Failure('use', service, `its target in IPC_NETWORK ${error.message}`);
    throw error instanceof Failure || codeOf(error) === undefined ? error : new Failure('use', service, error);
  }
}

/** ipcd answers root and its own user. */
function answersUs(ipcd: Entry): boolean {
  const uid = process.geteuid!();
  return uid === 0 || ipcd.uid === uid;
}

function wayByItem(item: string, grounds: Grounds): WayOut {
  const target = parseTarget(item);
  if (target.kind === 'uri') return { uri: target.uri };
  const services = [...socketsOf(target, grounds)].filter(({ file }) => existsSync(file));
  if (services.length === 0) throw new Refused('no such service');
  return { services };
}
