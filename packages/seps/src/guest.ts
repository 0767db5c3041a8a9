// A connection whose key is authorised.
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Pin } from '@dipus/proto/pin';
import type { Channel } from './channel.ts';
import { Channels } from './channels.ts';
import type { ProvenPeer } from './proven-peer.ts';
import { notAuthorisedAnyMore } from './refusals.ts';
import { breakSecured } from './secured.ts';

export interface Guest<P extends ProvenPeer> {
  readonly peer: P;
  readonly address: string;
  /** Settles when it is closed, with the reason. */
  readonly ended: Promise<string>;
  /** Sets what is known of its key now. */
  keep(peer: P): void;
  /** Breaks it: its key is not authorised any more. */
  revoke(): void;
  goodbye(text: string): void;
  break(text: string): void;
}

/** What is served to whoever is authorised. */
export interface GuestEvents<P extends ProvenPeer> {
  /** A channel was opened; the callee's from now on. */
  readonly channel: (channel: Channel, peer: P) => void;
  /**
   * HTTPS; the callee's from now on. It ends as TLS does: a lost connection looks like an end, so no stream that is to be whole may go over
   * it. `resetAndDestroy` works.
   */
  readonly https: (socket: TLSSocket, peer: P) => void;
}

export interface Judged<P extends ProvenPeer> {
  /** The TCP connection below `socket`. */
  readonly raw: Socket;
  readonly socket: TLSSocket;
  readonly address: string;
  readonly peer: P;
}

type Serving<P extends ProvenPeer> = GuestEvents<P> & { readonly mayOpen: (pin: Pin) => boolean };

export function channelGuest<P extends ProvenPeer>({ raw, socket, address, peer: first }: Judged<P>, serving: Serving<P>): Guest<P> {
  let peer = first;
  const channels = new Channels(socket, {
    peer,
    raw,
    opened: (channel) => serving.channel(channel, peer),
    mayOpen: () => serving.mayOpen(peer.pin),
  });
  return {
    address,
    ended: channels.ended,
    get peer() {
      return peer;
    },
    keep: (judged) => {
      peer = judged;
      channels.peer = judged;
    },
    revoke: () => channels.close('revoked', notAuthorisedAnyMore(peer.pin)),
    goodbye: (text) => channels.goodbye(text),
    break: (text) => channels.break(text),
  };
}

export function httpsGuest<P extends ProvenPeer>({ raw, socket, address, peer: first }: Judged<P>, serving: Serving<P>): Guest<P> {
  let peer = first;
  const reset = (): void => breakSecured({ raw, socket });
  // That of a TLS socket itself throws.
  socket.resetAndDestroy = () => {
    reset();
    return socket;
  };
  const ended = new Promise<string>((resolve) => socket.once('close', () => resolve('it is closed')));
  serving.https(socket, peer);
  return {
    address,
    ended,
    get peer() {
      return peer;
    },
    keep: (judged) => void (peer = judged),
    revoke: reset,
    goodbye: () => {},
    break: reset,
  };
}
