// What we use of mdns-js 1.0.3, which has no types of its own.
declare module 'mdns-js/lib/networking.js' {
  import type { EventEmitter } from 'node:events';
  import type { RemoteInfo } from 'node:dgram';

  /** What mdns-js does with a socket. */
  interface MulticastSocket {
    address(): { address: string };
    on(event: string, listener: () => void): unknown;
    send(bytes: Uint8Array, from: number, length: number, port: number, address: string, done: (error: Error | null) => void): void;
    close(): void;
    unref(): void;
  }

  /** Sockets, the packets they receive, and sending one packet by all of them. */
  class Networking extends EventEmitter<{
    packets: [packets: unknown[], remote: RemoteInfo];
    error: [error: Error];
    ready: [count: number];
  }> {
    constructor(options?: { networkInterface?: string; INADDR_ANY?: boolean });
    bindToAddress(error: Error | undefined, index: number, device: string, socket: MulticastSocket): void;
    send(packet: object): void;
    stop(): void;
  }
  export = Networking;
}
