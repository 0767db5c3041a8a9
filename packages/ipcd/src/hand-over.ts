// What a program of libipc is answered: a connection, by its descriptor, or a refusal (ipc(5), Asks).
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import { deadDescriptor, openDescriptor, sendDescriptor, setBlocking } from '@dipus/descriptors/passing';
import { codeOf } from '@dipus/proto/failure';
import { encodeIpcFrame, type Era } from '@dipus/proto/ipc-frame';
import { printable } from '@dipus/proto/printable';

const accepted: Readonly<Record<Era, Buffer>> = { c: encodeIpcFrame('c', 'OK'), zig: Buffer.from('ok') };
// Read with an iovec of one byte.
const carrier = Buffer.from('\0');

/** Gives the client the connection, which has not been read, and closes our copies of both. Throws the system's error where it has gone. */
export function handOver(client: Socket, era: Era, opened: Socket): void {
  try {
    const descriptor = openDescriptor(opened);
    setBlocking(descriptor);
    give(client, era, descriptor);
  } finally {
    // An end would be one of the connection itself, which we share.
    opened.destroy();
    client.destroy();
  }
}

/** Tells the client that it gets nothing. A program of the C era falls over every text, and takes a connection that has ended as it is. */
export function refuse(client: Socket, era: Era, reason: string): void {
  try {
    if (era === 'zig') client.end(`no: ${printable(reason)}`);
    else giveDead(client);
  } catch (error) {
    // It has gone.
    if (codeOf(error) === undefined) throw error;
  } finally {
    client.destroySoon();
  }
}

/**
 * A client of the C era reads its OK with room for more: a message that follows at once would be read with it, and the descriptor lost. One
 * on the OK itself makes that read end there.
 */
function give(client: Socket, era: Era, descriptor: number): void {
  sendDescriptor(client, accepted[era], descriptor);
  if (era === 'c') sendDescriptor(client, carrier, descriptor);
}

function giveDead(client: Socket): void {
  const descriptor = deadDescriptor();
  try {
    give(client, 'c', descriptor);
  } finally {
    closeSync(descriptor);
  }
}
