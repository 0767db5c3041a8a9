// When to look at a tree of a remote host again: when its dls tells of a change, where that can be run; else every so often.
import type { Duplex } from 'node:stream';
import { quoted } from '@dipus/proto/quoted';
import { timing } from '@dipus/proto/timing';
import type { Channels } from '../connection/channels.ts';

// It ends with the connection: without a terminal nobody else ends what runs there. Under sh, whatever the user's shell is.
const script = `command -v dls >/dev/null || exit 127
exec 3<&0
DIPUS_ROOT=$0 dls -a -w --json 2>/dev/null 3<&- &
watcher=$!
{ cat <&3; kill $watcher; } >/dev/null 2>&1 &
wait $watcher
kill $! 2>/dev/null`;

/**
 * Calls `changed` now and then until it is closed: soon after each change where that can be known, else every `pollMs`. With `isThorough`
 * where something has changed, whatever the times of directories say, and every timing.rescanMs.
 */
export class RemoteChanges {
  readonly #changed: (isThorough: boolean) => void;
  readonly #pollMs: number;
  #timer: NodeJS.Timeout;
  #program: Duplex | undefined;
  #isClosed = false;
  #thoroughAtMs = performance.now();

  constructor(pollMs: number, changed: (isThorough: boolean) => void) {
    this.#pollMs = pollMs;
    this.#changed = changed;
    this.#timer = setInterval(() => this.#look(), pollMs);
  }

  /** Tries to run dls for the tree at `root`; `explain` is told which way it is. Never rejects. */
  async listen(channels: Channels, root: string, explain: (line: string) => void): Promise<void> {
    const command = `exec sh -c ${quoted(script)} ${quoted(root)}`;
    const program = await channels.openSession((stream, remote) => stream.exec(remote, command, true)).catch(() => undefined);
    const poll = (): void => this.#every(this.#pollMs);
    if (!program) return;
    this.#program = program;
    if (this.#isClosed) return void program.destroy();
    let isTold = false;
    program.on('data', () => {
      if (!isTold) explain(`its dls tells of changes in ${root}`);
      if (!isTold) this.#every(timing.rescanMs);
      isTold = true;
      this.#changed(true);
    });
    program
      .on('error', () => {})
      .on('end', () => program.destroy())
      .on('close', poll);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#program?.destroy();
  }

  #look(): void {
    const nowMs = performance.now();
    const isThorough = nowMs - this.#thoroughAtMs >= timing.rescanMs * 0.9;
    if (isThorough) this.#thoroughAtMs = nowMs;
    this.#changed(isThorough);
  }

  #every(ms: number): void {
    if (this.#isClosed) return;
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#look(), ms);
  }
}
