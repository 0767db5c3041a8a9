// Learning of deaths that make no file event: SIGKILL leaves the socket file as it was (tree.md, Watching).
import { basename, dirname } from 'node:path';
import { controlName } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { holdControl } from '@dipus/session/control-client';
import { listeningFiles, type Entry } from '@dipus/tree/list';
import { connectFile } from '@dipus/tree/socket-file';

/** Calls `suspect` with a service that may have died: the end of an idle control connection, or of a foreign socket in /proc/net/unix. */
export class Deaths {
  readonly #suspect: (entry: Entry) => void;
  readonly #held = new Map<string, () => void>();
  readonly #foreign = new Map<string, { entry: Entry; wasListening: boolean }>();
  readonly #timer: NodeJS.Timeout;

  constructor(suspect: (entry: Entry) => void) {
    this.#suspect = suspect;
    this.#timer = setInterval(() => this.#lookAtForeign(), timing.foreignMs);
  }

  /** Watches over a service from now on. One that does not answer is suspect at once. */
  add(entry: Entry): void {
    if (entry.hasControl) this.#hold(entry);
    else {
      this.#foreign.set(entry.file, { entry, wasListening: false });
      this.#suspect(entry);
    }
  }

  remove(entry: Entry): void {
    this.#foreign.delete(entry.file);
    this.#held.get(entry.file)?.();
    this.#held.delete(entry.file);
  }

  close(): void {
    clearInterval(this.#timer);
    for (const release of this.#held.values()) release();
    this.#held.clear();
  }

  /** Until it is removed: the end of a connection may come before the socket of a dying process refuses, or be the service's whim. */
  #hold(entry: Entry): void {
    let isReleased = false;
    let release = (): void => {};
    let retryMs = timing.deathRetryMs;
    let timer: NodeJS.Timeout | undefined;
    this.#held.set(entry.file, () => {
      isReleased = true;
      clearTimeout(timer);
      release();
    });
    const control = `${dirname(entry.file)}/${controlName(basename(entry.file))}`;
    const ended = (): void => {
      if (isReleased) return;
      this.#suspect(entry);
      timer = setTimeout(dial, retryMs);
      retryMs = Math.min(retryMs * 2, timing.rescanMs);
    };
    const dial = (): void => {
      holdControl(() => connectFile(control), ended).then((letGo) => {
        release = letGo;
        if (isReleased) letGo();
      }, ended);
    };
    dial();
  }

  #lookAtForeign(): void {
    if (this.#foreign.size === 0) return;
    const listening = listeningFiles();
    for (const [file, seen] of this.#foreign) {
      const isListening = listening.has(file);
      if (seen.wasListening && !isListening) this.#suspect(seen.entry);
      seen.wasListening = isListening;
    }
  }
}
