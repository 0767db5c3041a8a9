// What a daemon answers: ipc(5), Daemons.
import type { Readable } from 'node:stream';
import { getSystemErrorMap } from 'node:util';
import { codeOf, Failure } from '@dipus/proto/failure';
import { IpcFrameError } from '@dipus/proto/ipc-frame';
import { printable } from '@dipus/proto/printable';
import { UriError } from '@dipus/proto/uri';

/** The longest answer, a reason included. */
export const maxAnswerBytes = 4096;

/** A daemon, or the host that it has asked, has said no; the message is its reason. */
export class Refused extends Error {}

/** Whether an error says why something was refused, and is no fault of ours. */
export function isExpected(error: unknown): boolean {
  const isOurs = error instanceof Refused || error instanceof Failure || error instanceof UriError || error instanceof IpcFrameError;
  return isOurs || codeOf(error) !== undefined;
}

// What ipcd and daemons of ours say; of the system's errors they tell its own words.
const ownReasons: Readonly<Record<string, string>> = {
  'no such service': 'ENOENT',
  'not allowed': 'EACCES',
  'too many connections': 'EAGAIN',
};

/** A refusal with the system's name of it as its `code`, where its words are known. */
export function withCode({ message }: Refused): Error {
  const code = ownReasons[message] ?? [...getSystemErrorMap().values()].find(([, words]) => words === message)?.[0];
  return Object.assign(new Error(message), code !== undefined && { code });
}

/** Throws Refused for every answer but the one. */
export function checkAnswer(text: string): void {
  if (text !== 'ok') throw new Refused(printable(text.replace(/^no:? ?/, '').trim()) || 'no reason given');
}

/**
 * Exactly so many bytes of a stream that nobody else reads; what is behind them stays in it. Rejects where it ends or breaks before.
 */
export function readExactly(stream: Readable, count: number): Promise<Buffer> {
  if (count === 0) return Promise.resolve(Buffer.alloc(0));
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      for (const event of ['readable', 'end', 'close'] as const) stream.off(event, look);
      stream.off('error', broken);
      act();
    };
    const look = (): void => {
      const bytes = stream.read(count) as Buffer | null;
      if (bytes?.length === count) settle(() => resolve(bytes));
      else if (stream.readableEnded || stream.closed || bytes) settle(() => reject(new Refused('it ended without an answer')));
    };
    const broken = (error: Error): void => settle(() => reject(error));
    stream.on('readable', look).on('end', look).on('close', look).on('error', broken);
    look();
  });
}
