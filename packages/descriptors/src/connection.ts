// A connection of TCP that goes to another process, and stays this one's too. A descriptor comes with a byte, and is lost where that one is
// read in the usual way (unix(7)): so whoever takes it says by a byte of its own when it is ready, and by another that it has it.
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { systemError } from '@dipus/proto/failure';
import { stopReadingSoon } from '@dipus/proto/handle';
import { timing } from '@dipus/proto/timing';
import { openDescriptor, receiveDescriptors, sendDescriptor } from './passing.ts';

const answer = Buffer.from('\n');
const carried = Buffer.from('\0');
// Most are there within this time, and are waited for without a pause.
const soonMs = 1;
const maxPauseMs = 50;

/**
 * Gives the process at the other end of a carrier, a UNIX connection that has sent nothing that is unread, a copy of a connection that
 * nobody reads here any more. Rejects with the system's error where it is not taken.
 */
export async function giveConnection(carrier: Socket, connection: Socket): Promise<void> {
  await answered(carrier);
  sendDescriptor(carrier, carried, openDescriptor(connection));
  await answered(carrier);
}

function answered(carrier: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (bytes: Buffer): void => {
      carrier.off('data', settle).off('end', fail).off('close', fail);
      if (bytes.equals(answer)) resolve();
      else reject(systemError('ECONNRESET', 'the service does not take it'));
    };
    const fail = (): void => settle(Buffer.alloc(0));
    if (carrier.destroyed) fail();
    else carrier.on('data', settle).on('end', fail).on('close', fail).resume();
  });
}

/**
 * Takes what giveConnection() gives over a carrier, of which all that came before has been read, and which is not read any more: half-open,
 * paused. Rejects with the system's error where none comes within timing.passMs, or what comes is no connection of TCP.
 */
export async function takeConnection(carrier: Socket): Promise<Socket> {
  await stopReadingSoon(carrier);
  carrier.write(answer);
  const begun = performance.now();
  for (let pause = 1; ;) {
    const received = receiveDescriptors(carrier, carried.length);
    if (received) {
      const connection = socketOf(received.descriptors);
      carrier.write(answer);
      return connection;
    }
    const spent = performance.now() - begun;
    if (spent > timing.passMs) throw systemError('ETIMEDOUT', 'no connection came');
    if (spent < soonMs) await setImmediate();
    else await sleep((pause = Math.min(2 * pause, maxPauseMs)));
  }
}

// `pauseOnCreate` is net.Server's way to make one that nobody reads yet.
const half = { allowHalfOpen: true, readable: true, writable: true, pauseOnCreate: true };

function socketOf(descriptors: readonly number[]): Socket {
  const [fd, ...others] = descriptors;
  for (const other of others) closeSync(other);
  if (fd === undefined) throw systemError('EBADMSG', 'no connection came');
  let socket: Socket | undefined;
  try {
    socket = new Socket({ ...half, fd });
  } catch {
    closeSync(fd);
  }
  if (socket?.remoteAddress !== undefined) return socket;
  socket?.destroy();
  throw systemError('ENOTSOCK', 'what came is no connection of TCP');
}
