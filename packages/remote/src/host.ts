// Another host, whatever the way to it.
import type { Duplex } from 'node:stream';
import type { Ask, PlacedService } from '@dipus/proto/ask';
import type { Failure } from '@dipus/proto/failure';
import type { OfferedService, SocketKind } from '@dipus/proto/sep';

/** A service of another host. `control`: it has a control socket there. */
export interface RemoteService extends OfferedService, PlacedService {
  /** Why an ask that does not name it must not pick it. */
  readonly untrusted?: string;
}

/** What is asked of a host; `isAll`: also what may not be picked without being named. */
export interface Query {
  readonly ask: Ask;
  readonly isAll: boolean;
}

export interface RemoteEvents {
  added(service: RemoteService): void;
  /** What pathOf gives of a service; a valid one, but perhaps never added. */
  removed(path: string): void;
  /** Everything that was there at the beginning has been told of. */
  ready(): void;
  /** Something of the other side's making is wrong; it goes on. */
  trouble(reason: string): void;
}

/** How a watch ended; `isSilent`: open streams are lost too. */
export interface RemoteEnd {
  readonly isSilent: boolean;
  readonly cause: Failure;
}

export interface RemoteHost {
  /** `sep://HOST[:PORT]`, `ssh://[USER@]HOST[:PORT]`. */
  readonly printed: string;
  /** The host as it was addressed. */
  readonly host: string;
  /**
   * Somebody of ours stands there: only the living are listed, and sessions are answered for services without a control socket. Else both are the
   * affair of who asks.
   */
  readonly hasExporter: boolean;
  /** The path by which a service is told of. */
  pathOf(service: RemoteService): string;
  uriOf(service: RemoteService): string;
  /** What answers, in the tree's order. Rejects with Failure. */
  list(query: Query): Promise<RemoteService[]>;
  /** Watches until the host is lost, or `stop` aborts (resolves with undefined then). Rejects with Failure where it cannot begin. */
  watch(query: Query, events: RemoteEvents, stop: AbortSignal): Promise<RemoteEnd | undefined>;
  /**
   * Connects to a service; `kind` is which half of a session this is, undefined the plain socket. Half-open, not read yet; the caller closes it.
   * Rejects with Failure, its code that of the system: EAGAIN for busy, EACCES for forbidden, ECONNREFUSED or ENOENT for dead.
   */
  dial(service: RemoteService, kind: SocketKind | undefined): Promise<Duplex>;
  /** Ends what the host itself holds open, and for ssh all that goes over its connection. */
  close(): void;
}
