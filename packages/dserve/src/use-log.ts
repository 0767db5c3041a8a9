// The log of use: one line for each client when its program begins, and one when that has ended.
import { formatExit, type Exit } from '@dipus/proto/control';
import type { PeerCredentials } from '@dipus/descriptors/peer-credentials';
import { printable } from '@dipus/proto/printable';
import { userName } from '@dipus/tree/accounts';

/** Who the client is, as the kernel tells. */
type LocalPeer = Pick<PeerCredentials, 'uid' | 'pid'>;

/** What became of a client. */
export type UseEvent =
  | { readonly event: 'wait'; readonly ahead: number }
  | { readonly event: 'begin'; readonly pid: number; readonly peer?: LocalPeer }
  | { readonly event: 'end'; readonly exit: Exit; readonly seconds: number }
  | { readonly event: 'leave' }
  | { readonly event: 'fail'; readonly reason: string };

/** Writes the events of one client. */
export type UseLog = (event: UseEvent) => void;

/** Whose events they are. */
export interface Used {
  /** `NAME.HOST...N`. */
  readonly service: string;
  readonly kind: 'plain' | 'control' | 'stage';
}

let clients = 0;

/** The log of one more client. `isJson`: an object a line, else a sentence. */
export function logOf(used: Used, write: (line: string) => void, isJson: boolean): UseLog {
  const client = ++clients;
  return (event) => {
    if (isJson) write(JSON.stringify({ ...flat(event), service: used.service, client, kind: used.kind, time: Date.now() / 1000 }));
    else write(`${used.service}: client ${client} ${sentence(event, used)}`);
  };
}

function flat(event: UseEvent): object {
  if (event.event === 'begin') {
    const { peer, ...rest } = event;
    return { ...rest, ...(peer && { peerUid: peer.uid, peerPid: peer.pid }) };
  }
  if (event.event !== 'end') return event;
  const { exit, ...rest } = event;
  return { ...rest, ...exit };
}

function sentence(event: UseEvent, { kind }: Used): string {
  switch (event.event) {
    case 'wait':
      return `waits, ${event.ahead} ahead of it`;
    case 'begin':
      return `begins: ${kind}, of ${whoIs(event.peer)}, has process ${event.pid}`;
    case 'end':
      return `ends: ${formatExit(event.exit)} after ${event.seconds.toFixed(2)} s`;
    case 'leave':
      return 'has left while it waited';
    case 'fail':
      return `fails: ${printable(event.reason)}`;
    default:
      return event satisfies never;
  }
}

function whoIs(peer: LocalPeer | undefined): string {
  return peer ? `${userName(peer.uid)}'s process ${peer.pid}` : 'this host';
}
