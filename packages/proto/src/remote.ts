/** Another host, whatever the way to it. Types only: each scheme has its own package, and @dipus/remote opens them. */
import type { Duplex } from 'node:stream';
import type { ServiceInArea, Ask } from './ask.ts';
import type { Failure } from './failure.ts';
import type { Pin } from './pin.ts';
import type { OfferedService, SocketKind } from './sep.ts';

/** A service of another host. `hasControl`: it has a control socket on that host. */
export interface RemoteService extends OfferedService, ServiceInArea {
  /** Why an ask that does not name it must not pick it. */
  readonly untrusted?: string;
}

/** What is asked of a host; `isAll`: also what may not be picked without being named. */
export interface RemoteQuery {
  readonly ask: Ask;
  readonly isAll: boolean;
}

export interface RemoteEvents {
  added(service: RemoteService): void;
  /** What pathOf gives of a service; a valid one, but perhaps never added. */
  removed(path: string): void;
  /** Its mode is another one. Whoever does not take this is told that it was removed, and added. */
  changed?(service: RemoteService): void;
  /** Everything that was there at the beginning has been told of. */
  ready(): void;
  /** Something on the remote host is wrong; the watch goes on. */
  trouble(reason: string): void;
}

/** How a watch ended; `isSilent`: open streams are lost too. */
export interface WatchResult {
  readonly isSilent: boolean;
  readonly cause: Failure;
}

/** A connection to a service that is not answered yet. */
export interface Dialled {
  /** May be written to at once; belongs to the caller. */
  readonly connection: Duplex;
  /** Settles when the connection leads to the service, and may be read; rejects with Failure as `dial` does. */
  readonly accepted: Promise<void>;
}

export interface RemoteHost {
  /** `sep[s]://HOST[:PORT]`, `ssh://[USER@]HOST[:PORT]`. */
  readonly printed: string;
  /** The host as it was addressed, or as known_peers names it. */
  readonly host: string;
  /**
   * An exporter of ours runs on the remote host: it lists only the living, and answers sessions for services without a control socket. Else
   * both are the caller's affair.
   */
  readonly hasExporter: boolean;
  /** Its watch has only what is alive, though no exporter runs there. */
  readonly watchesLiving?: boolean;
  /** The key that the host has proved to have, where it has one and was connected to. */
  readonly peer?: Pin | undefined;
  /** The path by which a service is told of. */
  pathOf(service: RemoteService): string;
  uriOf(service: RemoteService): string;
  /** What answers, in the tree's order. Rejects with Failure. */
  list(query: RemoteQuery): Promise<RemoteService[]>;
  /** Watches until the host is lost, or `stop` aborts (resolves with undefined then). Rejects with Failure where it cannot begin. */
  watch(query: RemoteQuery, events: RemoteEvents, stop: AbortSignal): Promise<WatchResult | undefined>;
  /**
   * Connects to a service; `kind` is which half of a session this is, undefined the plain socket. Half-open, not read yet; the caller
   * closes it. Rejects with Failure, its code that of the system: EAGAIN for busy, EACCES for forbidden, ECONNREFUSED or ENOENT for dead.
   */
  dial(service: RemoteService, kind: SocketKind | undefined): Promise<Duplex>;
  /** The same without waiting for the host's answer, where what is sent before may be lost but never be taken for something else. */
  dialEarly?(service: RemoteService, kind: SocketKind | undefined): Promise<Dialled>;
  /**
   * Runs a script of sh, without a terminal; its $1 is the root of the tree. What it prints is read, and its stdin ends with the
   * connection, which the caller closes. Rejects with Failure.
   */
  runScript?(script: string): Promise<Duplex>;
  /** Ends what the host itself holds open, and for ssh all that goes over its connection. */
  close(): void;
}
