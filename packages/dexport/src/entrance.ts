// What stands between the addresses on which an exporter listens and its answers.
import { createServer, type Server } from 'node:net';
import { HttpServer, type ServerOptions } from './http-server.ts';
import type { Limits } from './limits.ts';

export interface Entrance {
  /** The scheme of the URIs by which it is reached. */
  readonly scheme: 'sep' | 'seps';
  /** What mDNS says of it. */
  readonly text: Readonly<Record<string, string>>;
  /** A server for one address, that does not listen yet; the caller closes it. */
  server(): Server;
  /** A line on who may use what is offered. `isLocal`: nobody else than this host reaches it. */
  whoMay(offered: string, isLocal: boolean): string;
  /** Takes nothing new: connections without a stream close, others when their last one has ended. */
  goodbye(): void;
  /** Resolves when what has gone to clients whose last stream has ended is on its way, as far as that is not the system's affair. */
  parted(): Promise<void>;
  /** Closes what is left. */
  close(): void;
}

/** That of plain text, for everybody. */
export function plainEntrance(options: ServerOptions & { readonly limits: Limits }): Entrance {
  const http = new HttpServer(options);
  return {
    scheme: 'sep',
    text: {},
    server: () => createServer({ allowHalfOpen: true, noDelay: true }, (connection) => http.serve(connection)),
    whoMay: (offered, isLocal) => `${everybody(isLocal)} may use what is in ${offered}`,
    goodbye: () => http.goodbye(),
    parted: async () => {},
    close: () => {
      options.limits.close();
      http.close();
    },
  };
}

/** Whom plain text is for. */
export function everybody(isLocal: boolean): string {
  return isLocal ? 'every user of this host' : 'everybody who reaches this port, unencrypted and unauthenticated,';
}
