// The stages that a dpipesd has, and the last that it has had, as it tells of them.
import type { Exit } from '@dipus/proto/control';
import type { Prepare } from '@dipus/proto/pipe';
import type { StageResult, WatchedBytes } from '@dipus/session/stage';

/** What is told of a stage; times are milliseconds since 1970. */
export interface SeenStage {
  /** The number of the pipeline. */
  readonly pipe: string;
  readonly stage: number;
  readonly stages: number;
  /** The name that it was asked for. */
  readonly service: string;
  readonly state: 'prepared' | 'running' | 'over';
  readonly since: number;
  readonly pid?: number;
  /** The program and its arguments. */
  readonly argv?: readonly string[];
  /** The services of other stages that it has called. */
  readonly called: readonly string[];
  readonly in?: number;
  readonly out?: number;
  readonly until?: number;
  readonly exit?: Exit;
  readonly error?: string;
}

/** Told of each change: the stage as it is then. */
export type StageListener = (stage: SeenStage) => void;

// Of more that are over the oldest are forgotten.
const maxOver = 1000;

export class SeenStages {
  readonly #all = new Set<StageRecord>();
  readonly #listeners = new Set<StageListener>();
  readonly #over: StageRecord[] = [];
  /** How many have ended since the start: with status 0, with another, by a signal, without a program's status. */
  readonly ended: { done: number; failed: number; killed: number; lost: number } = { done: 0, failed: 0, killed: 0, lost: 0 };
  bytesIn = 0;
  bytesOut = 0;

  begin(prepare: Prepare, service: string): StageRecord {
    const record = new StageRecord(prepare, service, (how) => this.#changed(record, how));
    this.#all.add(record);
    this.#tell(record);
    return record;
  }

  /** In the order in which they were prepared. */
  list(): SeenStage[] {
    return [...this.#all].map((record) => record.seen());
  }

  /** Returns how to stop. */
  subscribe(listener: StageListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #changed(record: StageRecord, how: StageResult | undefined): void {
    if (how) this.#count(record.seen(), how);
    this.#tell(record);
    if (!how) return;
    this.#over.push(record);
    if (this.#over.length > maxOver) this.#all.delete(this.#over.shift()!);
  }

  #count({ in: came = 0, out = 0 }: SeenStage, how: StageResult): void {
    this.bytesIn += came;
    this.bytesOut += out;
    if (!('exit' in how)) this.ended.lost++;
    else if ('signal' in how.exit) this.ended.killed++;
    else if (how.exit.code === 0) this.ended.done++;
    else this.ended.failed++;
  }

  #tell(record: StageRecord): void {
    for (const listener of this.#listeners) listener(record.seen());
  }
}

/** One of them, told of what happens to it. */
export class StageRecord {
  #seen: SeenStage;
  #look: () => WatchedBytes = () => ({});
  readonly #changed: (how?: StageResult) => void;

  constructor({ pipe, stage, stages }: Prepare, service: string, changed: (how?: StageResult) => void) {
    this.#seen = { pipe, stage, stages, service, state: 'prepared', since: Date.now(), called: [] };
    this.#changed = changed;
  }

  seen(): SeenStage {
    // A look may see nothing any more of what was there.
    this.#seen = { ...this.#seen, ...this.#look() };
    return this.#seen;
  }

  called(uri: string): void {
    this.#seen = { ...this.#seen, called: [...this.#seen.called, uri] };
  }

  started(pid: number, argv: readonly string[]): void {
    this.#seen = { ...this.#seen, state: 'running', pid, argv };
    this.#changed();
  }

  watched(look: () => WatchedBytes): void {
    this.#look = look;
  }

  ended(how: StageResult): void {
    const ending = 'exit' in how ? { exit: how.exit } : { error: how.error };
    this.#seen = { ...this.seen(), state: 'over', until: Date.now(), ...ending };
    this.#look = () => ({});
    this.#changed(how);
  }
}
