// Where WebSockets come in from the network: the upgrade waits until the service is open, so that a refusal is a status of HTTP.
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket } from 'node:net';
import { Admission } from '@dipus/ipc/admission';
import { listenAtAll, type Entrance } from '@dipus/ipc/entrance';
import { openWay, relayGuest, type GuestService } from '@dipus/ipc/guest-service';
import { letIn, tellRefusal, type House } from '@dipus/ipc/let-in';
import { plainAddress, type ListenAddress } from '@dipus/ipc/listen';
import { waysIn, waysInTo } from '@dipus/ipc/way-in';
import { formatPeer, type Peer } from '@dipus/proto/peer';
import { timing } from '@dipus/proto/timing';
import { accept, readHandshake, wantsWebSocket, type Handshake } from './handshake.ts';
import { HttpRefusal, refusalOf, refuse } from './refusal.ts';
import { chooseSubprotocol } from './subprotocol.ts';

export interface WebEntranceOptions extends House {
  /** How many guests there may be at a time. */
  readonly max: number;
  /** Whose pages may come in, in lower case. */
  readonly origins: readonly string[];
}

const scheme = 'ws';
const maxHeaderSize = 16_384;

/** Listens at addresses that have been resolved, and lets in whoever may. Throws Failure; nothing is left open then. */
export function openWebEntrance(addresses: readonly ListenAddress[], options: WebEntranceOptions): Promise<Entrance> {
  const admission = new Admission<Socket>({ max: options.max });
  return listenAtAll(addresses, { scheme, admission, server: () => serverOf(admission, options), explain: options.explain });
}

function serverOf(admission: Admission<Socket>, options: WebEntranceOptions): Server {
  const refused = new WeakSet<Socket>();
  const server = createServer({
    maxHeaderSize,
    headersTimeout: timing.headMs,
    requestTimeout: timing.headMs,
    connectionsCheckingInterval: timing.headCheckMs,
    keepAlive: true,
    keepAliveInitialDelay: timing.keepAliveMs,
  });
  server.on('connection', (connection) => {
    connection.on('error', () => {}).once('close', () => admission.leave(connection));
    const why = admission.enter(connection, plainAddress(connection.remoteAddress));
    if (why === undefined) return;
    refused.add(connection);
    options.explain(`refused ${formatPeer(peerOf(connection))}: ${why}`);
    refuse(connection, new HttpRefusal(503, why));
  });
  const unlessRefused = (connection: Socket, act: () => void): void => (refused.has(connection) ? undefined : act());
  server.on('request', ({ socket }) => unlessRefused(socket, () => refuse(socket, wantsWebSocket())));
  server.on('upgrade', (request, connection: Socket, head) => {
    const named = (): void => admission.finish(connection);
    unlessRefused(connection, () => void receive({ request, connection, head }, { ...options, named }));
  });
  return server;
}

function peerOf({ remoteAddress, remotePort }: Socket): Peer {
  return { scheme, host: plainAddress(remoteAddress), ...(remotePort !== undefined && { port: remotePort }) };
}

type Reception = WebEntranceOptions & { named(): void };

async function receive(
  asked: { readonly request: IncomingMessage; readonly connection: Socket; readonly head: Buffer },
  options: Reception,
): Promise<void> {
  const { connection } = asked;
  const peer = peerOf(connection);
  let name = options.to?.name;
  try {
    const handshake = readHandshake(asked, options.origins);
    name ??= handshake.name;
    if (name === undefined) return await receiveNaming(handshake, peer, options);
    options.named();
    await serve({ ...handshake, name }, peer, options);
  } catch (error) {
    tellRefusal(error, options, `${formatPeer(peer)}${name === undefined ? '' : ` to ${name}`}`);
    refuse(connection, refusalOf(error));
  }
}

/** The path `/`: the service is named in the stream itself, as on a connection of TCP. */
async function receiveNaming(handshake: Handshake, peer: Peer, options: Reception): Promise<void> {
  const subprotocol = chooseSubprotocol(handshake.offered, 'bytes');
  if (subprotocol === undefined) throw noSubprotocol();
  await letIn(await accept(handshake, { subprotocol, framing: 'bytes' }), peer, options);
}

async function serve(handshake: Handshake & { readonly name: string }, peer: Peer, options: Reception): Promise<void> {
  const { connection, name, offered } = handshake;
  const { to, grounds, streams, explain } = options;
  const left = new AbortController();
  connection.once('close', () => left.abort());
  const ways = to ? await waysInTo(grounds, to, peer) : await waysIn(grounds, name, peer);
  const fitting = ways.filter(({ framing }) => chooseSubprotocol(offered, framing) !== undefined);
  if (fitting.length === 0) throw noSubprotocol();
  const service = await openWay(fitting, { left: left.signal, explain });
  try {
    const { framing } = service;
    const guest = await accept(handshake, { subprotocol: chooseSubprotocol(offered, framing)!, framing });
    explain(`${formatPeer(peer)} uses ${service.path}`);
    streams.add(relayGuest(guest, service, explain));
  } catch (error) {
    leave(service);
    throw error;
  }
}

function leave({ session, socket }: GuestService): void {
  session?.close();
  socket.destroy();
}

function noSubprotocol(): HttpRefusal {
  return new HttpRefusal(400, 'none of these subprotocols fits the service');
}
