// The name of a service as the first thing on a connection between hosts: ipc(5), Between daemons.
import type { Duplex } from 'node:stream';
import { isName } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { Refused } from './answer.ts';

const maxNameBytes = 255;

/**
 * Reads a name that ends at a newline, with silence, or at 255 bytes; what is behind a newline stays in the stream, which is not read any
 * more then. Rejects with Refused.
 */
export function readServiceName(connection: Duplex): Promise<string> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    let silence: NodeJS.Timeout | undefined;
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      clearTimeout(silence);
      connection.off('data', read).off('end', ended).off('close', left).pause();
      act();
    };
    const fail = (reason: string): void => settle(() => reject(new Refused(reason)));
    const finish = (length: number, rest: number): void =>
      settle(() => {
        const name = bytes.toString('utf8', 0, length);
        if (rest < bytes.length) connection.unshift(bytes.subarray(rest));
        if (isName(name)) resolve(name);
        else reject(new Refused('that is no name of a service'));
      });
    const ended = (): void => (bytes.length > 0 ? finish(bytes.length, bytes.length) : fail('it named no service'));
    const left = (): void => fail('it left');
    const read = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      const newline = bytes.indexOf(0x0a);
      clearTimeout(silence);
      if (newline >= 0 && newline <= maxNameBytes) return finish(newline, newline + 1);
      if (bytes.length >= maxNameBytes) return finish(maxNameBytes, maxNameBytes);
      silence = setTimeout(() => finish(bytes.length, bytes.length), timing.nameMs);
    };
    const timer = setTimeout(() => fail('it named no service in time'), timing.headMs);
    connection.on('data', read).once('end', ended).once('close', left);
    connection.resume();
  });
}
