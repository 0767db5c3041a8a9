// Opening what is asked for, to be handed on.
import type { Socket } from 'node:net';
import { codeOf, Failure, reasonOf } from '@dipus/proto/failure';
import type { Era } from '@dipus/proto/ipc-frame';
import type { IpcTarget } from '@dipus/proto/ipc-target';
import { timing } from '@dipus/proto/timing';
import { pause } from '@dipus/proto/waiting';
import { openForHandOver } from '@dipus/ipc/ask-daemon';
import { NoDaemon } from '@dipus/ipc/open-uri';
import { socketsOf, type Grounds } from '@dipus/ipc/local-target';
import { openService, type ServiceToOpen } from '@dipus/tree/open-service';

/** Opens a target for a program of this era, to be handed on: not read yet; the caller owns it. Rejects with Failure or the reason. */
export async function openTarget(
  target: IpcTarget,
  { grounds, era, stop }: { grounds: Grounds; era: Era; stop: AbortSignal },
): Promise<Socket> {
  if (target.kind !== 'uri') return openLocal(() => socketsOf(target, grounds, era), target.peer.host, stop);
  const { scheme, uri } = target;
  const opened = await openForHandOver(grounds.tree, { scheme, uri, framing: era }, stop);
  if (!opened) throw new NoDaemon(scheme);
  return opened;
}

/** The first that can be opened; while one is only busy, all are looked for again. */
async function openLocal(look: () => Iterable<ServiceToOpen>, name: string, stop: AbortSignal): Promise<Socket> {
  for (;;) {
    const opened = await openFirst(look());
    if (opened.socket) return opened.socket;
    if (!opened.isBusy || stop.aborted) throw new Failure('open', name, opened.reason);
    await pause(timing.busyRetryMs, stop);
  }
}

async function openFirst(services: Iterable<ServiceToOpen>): Promise<{ socket?: Socket; isBusy: boolean; reason: string }> {
  let isBusy = false;
  let reason = 'no such service';
  for (const service of services) {
    try {
      return { socket: await openService(service, 'plain'), isBusy, reason };
    } catch (error) {
      const code = codeOf(error);
      if (code === undefined) throw error;
      isBusy ||= code === 'EAGAIN';
      if (code !== 'ENOENT') reason = `${service.file}: ${code === 'EAGAIN' ? 'its queue is full' : reasonOf(error)}`;
    }
  }
  return { isBusy, reason };
}
