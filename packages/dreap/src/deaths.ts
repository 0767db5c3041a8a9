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

  #hold(entry: Entry): void {
    let isReleased = false;
    let release = (): void => {};
    this.#held.set(entry.file, () => {
      isReleased = true;
      release();
    });
    const ended = (): void => {
      if (!isReleased) this.#suspect(entry);
    };
    const control = `${dirname(entry.file)}/${controlName(basename(entry.file))}`;
    holdControl(() => connectFile(control), ended).then(
      (letGo) => {
        release = letGo;
        if (isReleased) letGo();
      },
      () => ended(),
    );
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
