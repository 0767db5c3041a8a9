// One stream through an open service: both directions at once, to the end of both and the status.
import { createWriteStream } from 'node:fs';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { codeOf, Failure, reasonOf } from '@dipus/proto/failure';
import type { Exit } from '@dipus/proto/control';
import { timing } from '@dipus/proto/timing';
import { aborted, delay } from '@dipus/proto/waiting';
import { startCopy, type Copy } from '@dipus/relay/cat';
import { closedByPeer } from '@dipus/relay/closed-by-peer';
import type { CopyResult } from '@dipus/relay/copy-result';
import { guardSocket } from '@dipus/relay/guarded-socket';
import { takesNoMore } from '@dipus/relay/reset';
import { startShortCopy } from '@dipus/relay/short-copy';
import { howRefused, type Input, type SendResult } from './input.ts';
import type { OpenService } from './open-first.ts';
import { leaveSession } from './parting.ts';
import type { Progress } from './progress.ts';

const stdout = 1;

/** How a transfer ended; 'output gone': nobody reads our stdout any more. */
export type TransferResult = { readonly exit: Exit } | 'output gone' | 'stopped';

/** Sends the input, copies the answer to stdout. Rejects with Failure where anything may be missing from either. */
export async function transfer(
  service: OpenService,
  input: Input,
  options: { stop: AbortSignal; progress?: Progress },
): Promise<TransferResult> {
  const socket = service.data instanceof Socket ? service.data : undefined;
  const short = socket && input.takeShort();
  const output = socket && short ? startShortCopy(socket, stdout) : startOutput(service, options.progress);
  // What was short is there, with its end; what is not is held by a copier from now on.
  const sending = socket && short ? sendShort(socket, short) : send(service, input);
  if (socket && short) void sending.then(() => service.session?.go());
  else service.session?.go();
  const stopped = aborted(options.stop).then(() => 'stopped' as const);
  try {
    const sendingFailed = sending.then(() => new Promise<never>(() => {}));
    const end = await Promise.race([finished(service, output, sending), sendingFailed, stopped]);
    if (typeof end === 'string') await leave(service, input, output);
    return end;
  } catch (error) {
    await leave(service, input, output);
    throw error;
  } finally {
    input.stop();
    output.stop();
    service.session?.close();
    service.data.destroy();
  }
}

/** Before its end: whatever the service got of our input is not all there is. A plain one can only be told of an end. */
async function leave({ session }: OpenService, input: Input, output: Copy): Promise<void> {
  input.stop();
  output.stop();
  if (session) await leaveSession(session);
}

/** In one call, and its end behind it: there is no moment in which our death would look like an end that is none. */
async function sendShort(data: Socket, bytes: Buffer): Promise<SendResult> {
  let how: SendResult = 'sent';
  // Whoever reads no input may answer all the same.
  guardSocket(data, { writeFailed: (error) => (how = howRefused(error)) });
  await new Promise<void>((resolve) => data.once('close', resolve).end(bytes, resolve));
  return how;
}

async function send(service: OpenService, input: Input): Promise<SendResult> {
  const how = await input.send(service.data);
  if (how === 'sent') service.data.end();
  return how;
}

async function finished(service: OpenService, output: Copy, sending: Promise<SendResult>): Promise<TransferResult> {
  const lost = service.outcome.then((outcome) => {
    if ('exit' in outcome) return new Promise<never>(() => {});
    if ('error' in outcome) throw new Failure('use', service.path, outcome.error.reason);
    throw new Failure('stay connected to', service.path, outcome.lost).withHint('the output may be incomplete');
  });
  const end = await Promise.race([output.ended, lost]);
  if (end.kind === 'refused') return 'output gone';
  if (end.kind === 'write-error') throw new Failure('write to', 'stdout', end.reason);
  if (end.kind === 'end' && service.isRemote && (end.wasReset || (await hasMetReset(service.data, sending))))
    throw new Failure('read from', service.path, 'the connection broke off').withHint('the output may be incomplete');
  if (end.kind === 'read-error') throw new Failure('read from', service.path, end.reason);
  if (service.session) return Promise.race([service.outcome.then((outcome) => ('exit' in outcome ? { exit: outcome.exit } : lost)), lost]);
  if (!service.isRemote) await Promise.race([sending, closedByPeer(service.data)]);
  return { exit: { code: 0 } };
}

/** Whether a write of ours has met a reset, of which reading then saw nothing. A copier that has met one says so at once. */
async function hasMetReset(data: Duplex, sending: Promise<SendResult>): Promise<boolean> {
  if (!(data instanceof Socket)) return false;
  const asked = takesNoMore(data).then((isOver) => (isOver || data.writableEnded ? sending : undefined));
  return (await Promise.race([asked, delay(timing.partingMs)])) === 'reset';
}

function startOutput(service: OpenService, progress: Progress | undefined): Copy {
  // A plain service has nobody who would tell it to stop: it sees an end when we are killed.
  const heldMs = service.session ? timing.killMs + timing.partingMs : 0;
  if (!progress) return startCopy(service.data, stdout, { heldMs });
  const copy = startCopy(service.data, 'pipe', { heldMs });
  const target = createWriteStream('', { fd: stdout, autoClose: false });
  const written = pipeline(copy.output!, progress.countOutput(), target).then(
    (): CopyResult => ({ kind: 'end' }),
    (error: unknown): CopyResult => (codeOf(error) === 'EPIPE' ? { kind: 'refused' } : { kind: 'write-error', reason: reasonOf(error) }),
  );
  const ended = written.then(async (end) => (end.kind === 'end' ? copy.ended : end));
  return { ...copy, ended };
}
