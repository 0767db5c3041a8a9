// Asking ipcd, which decides where services are and who may use them: ipc(5), Questions.
import type { Socket } from 'node:net';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { Lines } from '@dipus/proto/lines';
import { timing } from '@dipus/proto/timing';
import type { Entry } from '@dipus/tree/entry';
import { findServices } from '@dipus/tree/list';
import { openService } from '@dipus/tree/open-service';
import type { Tree } from '@dipus/tree/root';
import { Refused } from './answer.ts';

const maxAnswerBytes = 16_384;

/**
 * What ipcd answers to a question behind its `ok`; undefined where none runs, or none for which `isAsked` is true. Rejects with Refused,
 * also where it cannot be asked.
 */
export async function askIpcd(tree: Tree, question: string, isAsked: (ipcd: Entry) => boolean = () => true): Promise<string | undefined> {
  for (const { entry } of findServices(tree, { segments: ['local', 'ipcd'], hasGlob: false })) {
    if (entry.area !== 'local' || entry.protocol !== '' || entry.name !== 'ipcd' || !isAsked(entry)) continue;
    let socket: Socket;
    try {
      socket = await openService({ file: entry.file, trustedBy: tree }, 'plain');
    } catch (error) {
      if (['ECONNREFUSED', 'ENOENT'].includes(codeOf(error) ?? '')) continue;
      throw new Refused(`ipcd cannot be asked: ${reasonOf(error)}`);
    }
    const answer = await lineOf(socket, `${question}\n`);
    if (answer.startsWith('ok ')) return answer.slice('ok '.length);
    throw new Refused(answer.replace(/^no /, ''));
  }
  return undefined;
}

function lineOf(socket: Socket, question: string): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    const fail = (): void => reject(new Refused('ipcd gave no answer'));
    const lines = new Lines(maxAnswerBytes, resolve);
    const timer = setTimeout(fail, timing.headMs);
    socket.on('error', fail).once('end', fail);
    socket.once('close', () => {
      clearTimeout(timer);
      fail();
    });
    socket.on('data', (bytes: Buffer) => lines.push(bytes) || fail());
    socket.write(question);
    socket.resume();
  }).finally(() => socket.destroy());
}
