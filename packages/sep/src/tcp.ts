import { connect, type LookupFunction, type NetConnectOpts, type Socket } from 'node:net';
import type { DuplexOptions } from 'node:stream';

// One for all connections: what it holds is copied before anything else is read.
const readBuffer = Buffer.allocUnsafe(65_536);

export interface TcpAddress {
  readonly host: string;
  readonly port: number;
  /** How names are resolved; the system's way unless given. */
  readonly lookup?: LookupFunction;
}

/**
 * A connection that reads from the kernel only while somebody wants its bytes: pause() stops it at once, so that what comes behind the 101
 * is there for whichever process the descriptor is handed to. An ordinary socket reads on until its buffer is full.
 */
export function connectUnhurried({ host, port, lookup }: TcpAddress): Socket {
  // readableHighWaterMark: else a paused stream fills its buffer. It goes on to the stream (net.Socket), which the types do not say.
  const options: NetConnectOpts & DuplexOptions = {
    host,
    port,
    // Node's own client would close the whole connection at the exporter's FIN.
    allowHalfOpen: true,
    noDelay: true,
    ...(lookup && { lookup }),
    readableHighWaterMark: 0,
    onread: { buffer: readBuffer, callback: (length) => socket.push(Buffer.from(readBuffer.subarray(0, length))) },
  };
  const socket: Socket = connect(options);
  return socket;
}
