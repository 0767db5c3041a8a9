// Asking a protocol daemon for a URI: ipc(5), Daemons.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { codeOf } from '@dipus/proto/failure';
import { encodeIpcFrame, headBytes, payloadBytes, type Era } from '@dipus/proto/ipc-frame';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import type { Entry } from '@dipus/tree/entry';
import { findServices } from '@dipus/tree/list';
import { hasOwnControl, openService, type ServiceToOpen } from '@dipus/tree/open-service';
import type { Tree } from '@dipus/tree/root';
import { checkAnswer, maxAnswerBytes, readExactly, Refused } from './answer.ts';
import { exactAnswer } from './exact-answer.ts';
import { openSession } from './opened-session.ts';
import { ProvenStream } from './proven-stream.ts';

/** What the stream of a URI consists of: frames of libipc, or just bytes. */
export type Framing = Era | 'bytes';

export interface WantedUri {
  readonly scheme: string;
  readonly uri: string;
  readonly framing: Framing;
}

/**
 * The protocols in which the daemon of a scheme is looked for. A daemon of other people's, which knows no frames and passes on bytes, needs
 * only the one that all of them have.
 */
const protocols: Readonly<Record<Framing, readonly string[]>> = { zig: ['ipc'], c: ['ipc/c', 'ipc'], bytes: ['uri', 'ipc'] };

/** The daemons of a scheme, the first to be tried first; none where none runs. Throws Failure. */
export function findDaemons(tree: Tree, scheme: string, framing: Framing): readonly Entry[] {
  return protocols[framing].flatMap((protocol) => {
    const ask = { segments: ['local', ...protocol.split('/'), scheme], hasGlob: false };
    const found = findServices(tree, ask).map(({ entry }) => entry);
    return found.filter((entry) => entry.area === 'local' && entry.protocol === protocol && entry.name === scheme);
  });
}

/**
 * Opens a URI by the daemon of its scheme: a stream that is half-open and not read yet; the caller owns it. Undefined where no daemon runs.
 * Rejects with Refused, or the system's error.
 */
export async function openByDaemon(tree: Tree, wanted: WantedUri, stop: AbortSignal): Promise<Socket | undefined> {
  return openFirst(findDaemons(tree, wanted.scheme, wanted.framing), stop, (entry) => askAt(toAsk(entry, tree), wanted.uri, stop));
}

/** The same for a connection that is handed on by its descriptor: nothing of what is behind the answer has been read. */
export async function openForHandOver(tree: Tree, wanted: WantedUri, stop: AbortSignal): Promise<Socket | undefined> {
  return openFirst(findDaemons(tree, wanted.scheme, wanted.framing), stop, (entry) => askUnread(toAsk(entry, tree), wanted.uri, stop));
}

/**
 * The same for a stream of bytes whose end is known to be one, which a session with a daemon of ours tells. Undefined where none runs.
 */
export async function openProven(tree: Tree, { scheme, uri }: WantedUri, stop: AbortSignal): Promise<Duplex | undefined> {
  const own = findDaemons(tree, scheme, 'bytes').filter(({ protocol, file }) => protocol === 'uri' && hasOwnControl(file));
  return openFirst(own, stop, async ({ file }) => {
    const opened = await openSession({ file, trustedBy: tree }, { uri }, { left: stop, explain: () => {} });
    return new ProvenStream(opened);
  });
}

interface DaemonToAsk extends ServiceToOpen {
  /** Of the ask and its answer. */
  readonly era: Era;
}

function toAsk({ file, protocol }: Entry, tree: Tree): DaemonToAsk {
  return { file, trustedBy: tree, era: protocol === 'ipc/c' ? 'c' : 'zig' };
}

async function openFirst<T>(entries: readonly Entry[], stop: AbortSignal, open: (entry: Entry) => Promise<T>): Promise<T | undefined> {
  let failure: unknown;
  for (const entry of entries) {
    try {
      stop.throwIfAborted();
      return await open(entry);
    } catch (error) {
      // One that is busy, dead or not for us is left for the next one; what a daemon says is the answer.
      if (codeOf(error) === undefined || error instanceof Refused) throw error;
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
  return undefined;
}

async function askAt(daemon: DaemonToAsk, uri: string, stop: AbortSignal): Promise<Socket> {
  const socket = await openService(daemon, 'plain');
  return answered(socket, stop, async () => {
    socket.write(encodeIpcFrame(daemon.era, uri));
    const length = payloadBytes(daemon.era, await readExactly(socket, headBytes[daemon.era]), maxAnswerBytes);
    return (await readExactly(socket, length)).toString();
  });
}

async function askUnread(daemon: DaemonToAsk, uri: string, stop: AbortSignal): Promise<Socket> {
  const answer = exactAnswer(daemon.era);
  const socket = await openService(daemon, 'plain', answer.onread);
  return answered(socket, stop, () => {
    socket.write(encodeIpcFrame(daemon.era, uri));
    socket.resume();
    const ended = new Promise<never>((_, reject) => {
      socket.once('error', reject).once('close', () => reject(new Refused('it ended without an answer')));
      socket.once('end', () => reject(new Refused('it ended without an answer')));
    });
    return Promise.race([answer.text, ended]);
  });
}

/** The connection once it has been answered `ok`; it is closed where it is not, or not in time. */
async function answered(socket: Socket, stop: AbortSignal, ask: () => Promise<string>): Promise<Socket> {
  const over = new AbortController();
  const late = pause(timing.headMs, AbortSignal.any([stop, over.signal])).then(() => {
    stop.throwIfAborted();
    throw new Refused(`no answer within ${timing.headMs / 1000} s`);
  });
  late.catch(() => {});
  // Whatever comes later is told to whoever has the connection by then.
  socket.on('error', () => {});
  try {
    checkAnswer(await Promise.race([ask(), late]));
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    over.abort();
  }
}
