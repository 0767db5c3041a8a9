// How each stage ended, for programs: dpipes(1), --status.
import { constants, readdirSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { UsageError } from '@dipus/cli/errors';
import { Failure } from '@dipus/proto/failure';
import type { SessionResult } from '@dipus/session/client-connection';
import type { LinkWay } from './link.ts';
import type { ReadyStage } from './prepare.ts';

/** Throws UsageError where nobody has opened this descriptor for us. */
export function checkDescriptor(fd: number): void {
  if (isGivenToUs(fd)) return;
  throw new UsageError(`--status ${fd}: descriptor ${fd} is not open for writing`, `dpipes --status ${fd} PIPELINE ${fd}>FILE`);
}

/** Node has descriptors of its own in the lowest numbers that are free: what it waits by, and pipes of which it has both ends. */
function isGivenToUs(fd: number): boolean {
  try {
    const file = fileOf(fd);
    const isOwnPipe = (other: string): boolean => fileOf(Number(other)) === file && !mayWrite(Number(other));
    return mayWrite(fd) && !file.startsWith('anon_inode:') && !readdirSync('/proc/self/fd').some(isOwnPipe);
  } catch {
    return false;
  }
}

function fileOf(fd: number): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // That of the folder itself, which has been read.
    return '';
  }
}

// Both bits of reading and writing: open(2).
const accessMode = 0o3;

function mayWrite(fd: number): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0';
  return (Number.parseInt(flags, 8) & accessMode) !== constants.O_RDONLY;
}

export class StageStatus {
  readonly #stages: readonly ReadyStage[];
  readonly #links: readonly LinkWay[];
  readonly #began = Date.now();
  readonly #ends = new Map<ReadyStage, { readonly result: SessionResult; readonly seconds: number }>();

  /** `links`: how the output of each goes on, but for the last one. */
  constructor(stages: readonly ReadyStage[], links: readonly LinkWay[]) {
    this.#stages = stages;
    this.#links = links;
    for (const stage of stages) {
      void stage.client.ended.then((result) => this.#ends.set(stage, { result, seconds: (Date.now() - this.#began) / 1000 }));
    }
  }

  /** Writes an object a line for each stage. Throws Failure. */
  write(fd: number): void {
    const lines = this.#stages.map((stage, at) => `${JSON.stringify(this.#of(stage, this.#links[at] ?? 'client'))}\n`);
    try {
      writeSync(fd, lines.join(''));
    } catch (error) {
      throw new Failure('write to', `descriptor ${fd}`, error);
    }
  }

  #of(stage: ReadyStage, link: string): object {
    const { wanted, candidate, service } = stage;
    const name = wanted.stage.name === undefined ? {} : { name: wanted.stage.name };
    return { stage: wanted.number, ...name, node: candidate.path, service, ...this.#endOf(stage), link };
  }

  #endOf(stage: ReadyStage): object {
    const end = this.#ends.get(stage);
    if (!end) return { error: 'it was ended with the others' };
    const { result, seconds } = end;
    if ('lost' in result) return { error: result.lost, seconds };
    if ('error' in result) return { error: result.error.reason, seconds };
    const { out, ...exit } = result.exit;
    const status = 'code' in exit ? { exit: exit.code } : { signal: exit.signal };
    return { ...status, seconds, ...(out !== undefined && { bytes: out }) };
  }
}
