// What ipcd says to whoever wants to use a service: dexport(1), --rules.
import { Refused } from '@dipus/ipc/answer';
import { askIpcd } from '@dipus/ipc/ask-ipcd';
import { Failure } from '@dipus/proto/failure';
import { servicePath } from '@dipus/proto/name';
import { formatPeer } from '@dipus/proto/peer';
import type { Tree } from '@dipus/tree/root';
import { peerOf, type Client } from './connected-peer.ts';
import type { Offer } from './offers.ts';
import { Refusal } from './refusal.ts';

/** Resolves where ipcd lets a client use a service. Where none runs nobody may. Rejects with Refusal; `warn` is told too. */
export type Rules = (client: Client, offer: Offer) => Promise<void>;

export function rulesOf(tree: Tree, warn: (error: unknown) => void): Rules {
  return async (client, offer) => {
    const who = peerText(client);
    try {
      const answer = await askIpcd(tree, `in ${offer.name} ${who}`);
      if (answer === undefined) throw new Refused('no ipcd runs');
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      warn(new Failure('let in', `${who} to ${servicePath(offer)}`, error.message));
      throw new Refusal(403, `${servicePath(offer)}: ${error.message}`);
    }
  };
}

/** Whoever has shown a key by its name, anybody else by the address alone. */
function peerText(client: Client): string {
  const { remoteAddress = '', remotePort: port } = client;
  const identity = peerOf(client)?.grant.name;
  // The zone of an address is one of this host alone.
  const address = { host: remoteAddress.replace(/%.*$/, ''), ...(port !== undefined && { port }) };
  return formatPeer(identity === undefined ? { scheme: 'tcp', ...address } : { scheme: 'seps', identity, ...address });
}
