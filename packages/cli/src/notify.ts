// What a service manager is told of a daemon: sd_notify(3). Node has no datagrams for UNIX sockets, so systemd-notify(1) sends them: it is
// wherever systemd is, and a command stays one file. koffi could do it in this process, but only dserve and ipcd may have it installed.
import { printable } from '@dipus/proto/printable';
import { reasonOf } from '@dipus/proto/failure';
import { take } from './start.ts';

const socket = take('NOTIFY_SOCKET');
let told = Promise.resolve();

/** What a process of the same daemon must have in its environment to tell its service manager; no other process of ours has it. */
export const notifyEnvironment: Readonly<Record<string, string>> = socket === '' ? {} : { NOTIFY_SOCKET: socket };

/**
 * Tells the service manager, if one wants to know, in the order of the calls, and waits for nothing. `status` is for people. `failed` is
 * given the reason where it cannot be told.
 */
export function notify(state: 'READY' | 'RELOADING' | 'STOPPING', status: string, failed: (reason: string) => void): void {
  if (socket === '') return;
  told = told.then(() => send([`${state}=1`, `STATUS=${printable(status)}`]).catch((error: unknown) => failed(reasonOf(error))));
}

/** Resolves when all has been told. */
export function notified(): Promise<void> {
  return told;
}

async function send(words: readonly string[]): Promise<void> {
  const { spawn } = await import('node:child_process');
  const child = spawn('systemd-notify', [...words], { env: { ...process.env, ...notifyEnvironment }, stdio: 'ignore' });
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) =>
      code === 0 ? resolve() : reject(new Error(`systemd-notify ended with ${signal ?? `status ${code}`}`)),
    );
  });
}
