// Between a protocol layer and its connection. Not by pipe(): that asks for process.stdout, and so makes it non-blocking for all who
// share it.
import type { Readable, Writable } from 'node:stream';
import { gatherer } from '@dipus/proto/gathering';

// So much may wait for the network; then the source is stopped.
const maxWaitingBytes = 256 << 10;

/**
 * Passes on all that a protocol layer has to send, with back-pressure: what comes in one turn goes out by one call of the system,
 * since a packet is made of several chunks. Ends the target with the source.
 */
export function sendAll(source: Readable, target: Writable): void {
  const gather = gatherer(target, process.nextTick);
  source.on('data', (chunk: Buffer) => {
    gather();
    target.write(chunk);
    if (target.writableLength > maxWaitingBytes) source.pause();
  });
  target.on('drain', () => source.resume());
  source.on('end', () => target.end());
}

/** Passes on all that comes to a protocol layer, which takes it at once. Ends the target with the source. */
export function receiveAll(source: Readable, target: Writable): void {
  source.on('data', (chunk: Buffer) => void target.write(chunk));
  source.on('end', () => target.end());
}
