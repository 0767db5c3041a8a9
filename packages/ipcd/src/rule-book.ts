// The rules of the command line and of its files, as they are now.
import { closeSync, constants, fstatSync, openSync, readFileSync, statSync, type BigIntStats } from 'node:fs';
import { lookup } from 'node:dns/promises';
import { UsageError } from '@dipus/cli/errors';
import { Failure } from '@dipus/proto/failure';
import { parseRule, parseRules, RuleError } from '@dipus/proto/rule-words';
import { decide, namesToResolve, type Decision, type Question, type Rule } from '@dipus/proto/rules';
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { groupId, userId, userName } from '@dipus/tree/accounts';
import type { RuleSource } from './args.ts';

/** A part of the rules. */
interface Chapter {
  readonly file?: string;
  rules: readonly Rule[];
  /** The file as it was when it was last read, also where it was refused. */
  stamp: string;
}

const accounts = { userId, groupId };

export class RuleBook {
  readonly #chapters: Chapter[];
  readonly #warn: (error: unknown) => void;
  readonly #ownUid = process.geteuid!();
  #addresses: ReadonlyMap<string, readonly string[]> = new Map();
  #resolved: Promise<void> | undefined;

  /** Throws UsageError, and Failure for a file that cannot be read or has errors. */
  constructor(sources: readonly RuleSource[], warn: (error: unknown) => void) {
    this.#warn = warn;
    this.#chapters = sources.map((source) => {
      if ('words' in source) return { rules: [ruleOf(source.words)], stamp: '' };
      const { rules, stamp } = readFile(source.file);
      return { file: source.file, rules, stamp };
    });
  }

  /** The rules in their order; files that have changed are read again, and one that is refused leaves what it said before. */
  async rules(): Promise<readonly Rule[]> {
    const changed = this.#chapters.filter((chapter) => this.#refresh(chapter));
    const rules = this.#chapters.flatMap((chapter) => chapter.rules);
    if (changed.length > 0 || !this.#resolved) this.#resolved = this.#resolve(rules);
    await this.#resolved;
    return rules;
  }

  async decide(question: Question): Promise<Decision> {
    const rules = await this.rules();
    return decide(rules, question, { ownUid: this.#ownUid, addressesOf: (name) => this.#addresses.get(name) ?? [] });
  }

  /** Looks the names of hosts up again and again, until it is stopped. */
  keepResolving(stop: AbortSignal): void {
    const again = (): void => void (this.#resolved = this.#resolve(this.#chapters.flatMap((chapter) => chapter.rules)));
    const timer = setInterval(again, timing.rulesMs).unref();
    stop.addEventListener('abort', () => clearInterval(timer));
  }

  /** Whether the rules are other ones now. */
  #refresh(chapter: Chapter): boolean {
    const { file } = chapter;
    if (file === undefined) return false;
    const stamp = stampAt(file);
    if (stamp === chapter.stamp) return false;
    chapter.stamp = stamp;
    try {
      chapter.rules = readFile(file).rules;
      return true;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      this.#warn(error.withHint('the rules that it had before still hold'));
      return false;
    }
  }

  /** Never rejects. A name that cannot be looked up keeps what it had. */
  async #resolve(rules: readonly Rule[]): Promise<void> {
    const found = await Promise.all(
      namesToResolve(rules).map(async (name): Promise<[string, readonly string[]]> => {
        const before = this.#addresses.get(name) ?? [];
        const looked = lookup(name, { all: true }).then((all) => all.map(({ address }) => address));
        return [name, await Promise.race([looked.catch(() => before), delay(timing.resolveMs).then(() => before)])];
      }),
    );
    this.#addresses = new Map(found);
  }
}

function ruleOf(words: readonly string[]): Rule {
  try {
    return parseRule(words, accounts);
  } catch (error) {
    if (error instanceof RuleError) throw new UsageError(`--${words.join(' ')}: ${error.message}`, error.hint);
    throw error;
  }
}

function readFile(file: string): { rules: readonly Rule[]; stamp: string } {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new Failure('read', file, error);
  }
  try {
    const stat = fstatSync(descriptor, { bigint: true });
    const why = whyNot(stat);
    if (why !== undefined) throw new Failure('read', file, why);
    const { rules, faults } = parseRules(readFileSync(descriptor, 'utf8'), accounts);
    if (faults[0]) throw new Failure('read', `${file}:${faults[0].line}`, faults.map(reasonOfLine).join('; '));
    return { rules, stamp: stampOf(stat) };
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('read', file, error);
  } finally {
    closeSync(descriptor);
  }
}

function reasonOfLine({ line, reason }: { line: number; reason: string }, at: number): string {
  return at === 0 ? reason : `line ${line}: ${reason}`;
}

/** Why a file of rules may not be relied on; undefined where it may. */
function whyNot(stat: BigIntStats): string | undefined {
  const uid = Number(stat.uid);
  if (!stat.isFile()) return 'it is no file';
  if (uid !== 0 && uid !== process.geteuid!()) return `owned by ${userName(uid)}, not by you or root`;
  return Number(stat.mode) & 0o022 ? 'writable by others' : undefined;
}

function stampAt(file: string): string {
  try {
    return stampOf(statSync(file, { bigint: true }));
  } catch (error) {
    return String((error as { code?: unknown }).code);
  }
}

function stampOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}
