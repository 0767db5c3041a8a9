// Questions in text on ipcd's socket in the tree: ipc(5), Questions.
import type { Socket } from 'node:net';
import { knownPeer } from '@dipus/descriptors/peer-credentials';
import { socketsOf } from '@dipus/ipc/local-target';
import { existsSync } from 'node:fs';
import { codeOf, Failure, reasonOf } from '@dipus/proto/failure';
import type { IpcTarget } from '@dipus/proto/ipc-target';
import { parseTarget, TargetError } from '@dipus/proto/ipc-target';
import { Lines } from '@dipus/proto/lines';
import { isName } from '@dipus/proto/name';
import { parsePeer, PeerError } from '@dipus/proto/peer';
import { printable } from '@dipus/proto/printable';
import { findTarget } from '@dipus/proto/rules';
import { listeningFiles } from '@dipus/tree/listening';
import { Denied, lineOf, routeOut } from './routing.ts';
import type { AsksOptions } from './asks.ts';

const maxLineBytes = 16_384;
const ownUid = process.geteuid!();

/** Answers each line of a connection with one, in their order, and closes it when it ends. */
export function serveQuestions(client: Socket, options: AsksOptions): void {
  client.on('error', () => {});
  const peer = knownPeer(client);
  // Where it cannot be known, the mode of the socket lets nobody else in.
  if (peer && peer.uid !== 0 && peer.uid !== ownUid) return void client.end('no only root and the user of ipcd are answered\n');
  let answers = Promise.resolve();
  const lines = new Lines(maxLineBytes, (line) => {
    answers = answers
      .then(async () => {
        const answer = await answerTo(line, options);
        if (!client.destroyed) client.write(`${answer}\n`);
      })
      .catch((error: unknown) => {
        client.destroy();
        options.log.warn(error);
      });
  });
  client.on('data', (bytes: Buffer) => {
    if (!lines.push(bytes)) client.end('no the line is too long\n').pause();
  });
  client.on('end', () => void answers.then(() => client.end()));
  client.resume();
}

async function answerTo(line: string, options: AsksOptions): Promise<string> {
  try {
    const [, direction, service = '', rest = ''] = /^(in|out) (\S+)(?: (.*))?$/.exec(line) ?? [];
    if (direction === undefined) throw new Denied('the question is neither "in SERVICE PEER" nor "out SERVICE [NETWORK]"');
    if (!isName(service)) throw new Denied(`${printable(service)} is no name of a service`);
    return `ok ${direction === 'in' ? await wayIn(service, rest, options) : await wayOut(service, rest, options)}`;
  } catch (error) {
    if (error instanceof Failure) return `no ${reasonOf(error.cause)}`;
    const isExpected = error instanceof Denied || error instanceof PeerError || error instanceof TargetError || codeOf(error) !== undefined;
    if (!isExpected) throw error;
    return `no ${reasonOf(error)}`;
  }
}

/** The path of what somebody from elsewhere may use. */
async function wayIn(service: string, from: string, { book, grounds, log }: AsksOptions): Promise<string> {
  const peer = parsePeer(from);
  const { isAllowed, isExportedOnly, rule } = await book.decide({ direction: 'in', service, peer });
  const line = lineOf('in', service, peer);
  if (!isAllowed) {
    log.warn(`deny ${line}: ${rule}`);
    throw new Denied('not allowed');
  }
  log.explain(`allow ${line}: ${rule}`);
  const redirect = findTarget(await book.rules(), 'redirect', service);
  const target = parseTarget(redirect?.target ?? service);
  if (target.kind === 'uri') throw new Denied('it is redirected to another host');
  return pathOf(target, isExportedOnly ? { ...grounds, rundirs: [], area: 'exported' } : grounds);
}

async function wayOut(service: string, network: string, { book, grounds, log }: AsksOptions): Promise<string> {
  const target = await routeOut(
    book,
    { service, network, asker: { uid: ownUid, gids: [process.getegid!(), ...process.getgroups!()] } },
    log,
  );
  return target.kind === 'uri' ? target.uri : pathOf(target, grounds);
}

/** The first that listens; else the first that is there. Throws Denied where none is. */
function pathOf(target: Exclude<IpcTarget, { kind: 'uri' }>, grounds: AsksOptions['grounds'] & { area?: string }): string {
  const { area, tree } = grounds;
  const isIn = (file: string): boolean => area === undefined || file.startsWith(`${tree.root}/${area}/`);
  const files = [...socketsOf(target, grounds)].flatMap(({ file }) => (isIn(file) && existsSync(file) ? [file] : []));
  const listening = files.length > 1 ? listeningFiles() : new Set<string>();
  const file = files.find((one) => listening.has(one)) ?? files[0];
  if (file === undefined) throw new Denied('no such service');
  return file;
}
