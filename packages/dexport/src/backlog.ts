// What clients have not taken yet of lists and watches, bounded over all of them.
import type { ServerResponse } from 'node:http';
import { timing } from '@dipus/proto/timing';

const maxUnreadBytes = 8 << 20;
// So much of it is on its way to a client at a time.
const pieceBytes = 16_384;
// Lines of a list are there once for all clients.
const listedBytes = 8;

/** The readers of an exporter. Where all together leave too much unread the worst of them is ended. */
export class Backlog {
  readonly #readers = new Set<Reader>();
  readonly #explain: (response: ServerResponse, what: string) => void;
  #unread = 0;

  /** `explain` is told why a reader was ended. */
  constructor(explain: (response: ServerResponse, what: string) => void) {
    this.#explain = explain;
  }

  /** Answers with a list, behind the head of the answer. A client that takes nothing of it for long is ended. */
  list(response: ServerResponse, lines: readonly string[]): void {
    this.#open(response, true).begin(lines);
  }

  /** The same, but the answer has no end: changes follow. */
  watch(response: ServerResponse, lines: readonly string[]): Reader {
    const reader = this.#open(response, false);
    reader.begin(lines);
    return reader;
  }

  #open(response: ServerResponse, isList: boolean): Reader {
    const reader = new Reader(response, {
      count: (bytes) => this.#count(bytes),
      ...(isList && { stalled: () => this.#end(reader, 'does not read its list') }),
    });
    this.#readers.add(reader);
    response.once('close', () => {
      this.#readers.delete(reader);
      reader.forget();
    });
    return reader;
  }

  #count(bytes: number): void {
    this.#unread += bytes;
    while (this.#unread > maxUnreadBytes) {
      const worst = [...this.#readers].reduce((a, b) => (b.badness > a.badness ? b : a));
      this.#end(worst, 'reads less than the others');
    }
  }

  #end(reader: Reader, why: string): void {
    this.#readers.delete(reader);
    reader.forget();
    this.#explain(reader.response, `${why}: its connection is closed`);
    reader.response.destroy();
  }
}

interface ReaderEvents {
  /** So many bytes more wait for the client, or fewer. */
  count(bytes: number): void;
  /** It takes nothing of a list, which ends; undefined where there is no end. */
  stalled?(): void;
}

/** Sends to one client what it takes, piece by piece. */
export class Reader {
  readonly response: ServerResponse;
  readonly #events: ReaderEvents;
  #list: readonly string[] = [];
  #listed = 0;
  #changes: string[] = [];
  #unread = 0;
  #tookAt = Date.now();
  #isWriting = false;
  #isOver = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(response: ServerResponse, events: ReaderEvents) {
    this.response = response;
    this.#events = events;
  }

  /** How much it leaves unread, and for how long. */
  get badness(): number {
    return this.#unread * (Date.now() - this.#tookAt + 1);
  }

  begin(lines: readonly string[]): void {
    const { stalled } = this.#events;
    if (stalled) this.#timer = setTimeout(stalled, timing.unreadMs).unref();
    this.#list = lines;
    this.#count(listedBytes * lines.length);
    this.#write();
  }

  /** Sends a line behind all others. */
  send(line: string): void {
    if (this.#isOver) return;
    if (this.#unread === 0) this.#tookAt = Date.now();
    this.#changes.push(line);
    this.#count(Buffer.byteLength(line));
    if (!this.#isWriting) this.#write();
  }

  /** Ends an answer that has no end by itself, behind what has gone already. */
  end(): void {
    this.forget();
    this.response.end();
  }

  /** Nothing is sent any more, and what waits does not count. */
  forget(): void {
    this.#isOver = true;
    this.#list = [];
    this.#changes = [];
    clearTimeout(this.#timer);
    this.#count(-this.#unread);
  }

  #count(bytes: number): void {
    this.#unread += bytes;
    this.#events.count(bytes);
  }

  #write(): void {
    const text = this.#listed < this.#list.length ? this.#ofList() : this.#ofChanges();
    if (this.#isOver) return;
    // Of a string Node would keep a copy that is three times as long.
    const piece = Buffer.from(text);
    const took = (): void => this.#took(piece.length);
    this.#isWriting = true;
    if (this.#events.stalled && this.#listed === this.#list.length) this.response.end(piece, took);
    else this.response.write(piece, took);
  }

  #ofList(): string {
    const begin = this.#listed;
    this.#listed += lengthOfPiece(this.#list, begin);
    const piece = this.#list.slice(begin, this.#listed).join('');
    this.#count(Buffer.byteLength(piece) - listedBytes * (this.#listed - begin));
    return piece;
  }

  #ofChanges(): string {
    return this.#changes.splice(0, lengthOfPiece(this.#changes, 0)).join('');
  }

  #took(bytes: number): void {
    if (this.#isOver) return;
    this.#isWriting = false;
    this.#tookAt = Date.now();
    this.#timer?.refresh();
    this.#count(-bytes);
    if (this.#listed < this.#list.length || this.#changes.length > 0) this.#write();
  }
}

/** How many lines from `begin` on make a piece. */
function lengthOfPiece(lines: readonly string[], begin: number): number {
  let bytes = 0;
  let at = begin;
  while (at < lines.length && bytes < pieceBytes) bytes += lines[at++]!.length;
  return at - begin;
}
