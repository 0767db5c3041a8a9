// A claimed name stays claimed for as long as its service lives, and both its sockets are open to the same people.
import type { Stats } from 'node:fs';
import { codeOf, Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { delay } from '@dipus/proto/waiting';
import { claim, type Claim, type Claimant, type Wanted } from './claim.ts';
import { isInPlace, statAt, type HeldDirectory } from './directory.ts';
import { keepLooking } from './kept-directory.ts';
import { setAccess, type Access, type OwnFile } from './own-file.ts';
import type { Tree } from './root.ts';

export interface KeptService {
  /** The claim as it stands; another one after the name was taken away. */
  readonly claim: Claim;
  /** Copies owner, group and permissions of the plain socket to the control socket where they differ; true if they did. */
  matchModes(): boolean;
  /** Takes the service out of the tree and stops listening. */
  release(): void;
}

/** Who answers under a kept name, and is told of what happens to it. */
export interface Keeping extends Claimant {
  /** The name was taken away and is claimed again, under the path of `kept.claim`. */
  reclaimed(path: string): void;
  /** It was taken away and could not be claimed again; tried again later. Told once for each loss. */
  lost(error: unknown): void;
}

/** Claims a name and keeps it until it is released. Throws Failure, as claim does. */
export async function keepService(tree: Tree, wanted: Wanted, keeping: Keeping): Promise<KeptService> {
  const keeper = new Keeper(tree, wanted, keeping);
  await keeper.begin();
  return keeper;
}

class Keeper implements KeptService {
  readonly #tree: Tree;
  readonly #wanted: Wanted;
  readonly #keeping: Keeping;
  readonly #released = new AbortController();
  #claim!: Claim;
  #unwatch: () => void = () => {};
  #isReclaiming = false;

  constructor(tree: Tree, wanted: Wanted, keeping: Keeping) {
    this.#tree = tree;
    this.#wanted = wanted;
    this.#keeping = keeping;
  }

  get claim(): Claim {
    return this.#claim;
  }

  async begin(): Promise<void> {
    this.#claim = await claim(this.#tree, this.#wanted, this.#keeping);
    this.#watch();
  }

  matchModes(): boolean {
    try {
      const files = this.#filesThere();
      return files !== undefined && this.#match(...files);
    } catch (error) {
      // We may not even look into the directory for now.
      if (codeOf(error) === undefined) throw error;
      return false;
    }
  }

  release(): void {
    this.#released.abort();
    this.#unwatch();
    this.#claim.release();
  }

  #watch(): void {
    this.#unwatch();
    const { directory, files } = this.#claim;
    this.#unwatch = keepLooking(directory, {
      fileNames: files.map(({ fileName }) => fileName),
      look: (isThere) => this.#look(() => isThere),
    });
  }

  #look(isDirectoryThere: () => boolean, isAgain = false): void {
    if (this.#isReleased || this.#isReclaiming) return;
    try {
      const files = isDirectoryThere() ? this.#filesThere() : undefined;
      if (files) return void this.#match(...files);
      // Taken aside by somebody who mistook it for the dead one before it, it is back in an instant.
      if (!isAgain) return void setTimeout(() => this.#look(() => isInPlace(this.#claim.directory), true), timing.keepMs / 50);
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      return;
    }
    this.#isReclaiming = true;
    void this.#reclaim().finally(() => (this.#isReclaiming = false));
  }

  /** What is known of both sockets; undefined where one of them is not ours any more, which is then neither copied from nor changed. */
  #filesThere(): [plain: Stats, control: Stats] | undefined {
    const { directory, files } = this.#claim;
    const plain = statOf(directory, files[0]);
    const control = plain && statOf(directory, files[1]);
    return control && [plain, control];
  }

  /** Whether they had other permissions. */
  #match(plain: Stats, control: Stats): boolean {
    const access = difference(plain, control);
    if (access) follow(this.#claim.directory, this.#claim.files[1], access);
    return access !== undefined;
  }

  get #isReleased(): boolean {
    return this.#released.signal.aborted;
  }

  async #reclaim(): Promise<void> {
    const old = this.#claim;
    // What is left of it goes first, so that the new one finds the number free.
    old.release();
    for (let isTold = false; !this.#isReleased;) {
      try {
        this.#claim = await this.#claimAgain(old);
        if (this.#isReleased) return this.#claim.release();
        this.#watch();
        return this.#keeping.reclaimed(this.#claim.path);
      } catch (error) {
        if (this.#isReleased) return;
        if (!isTold) this.#keeping.lost(error);
        isTold = true;
        await delay(timing.keepMs);
      }
    }
  }

  async #claimAgain(old: Claim): Promise<Claim> {
    const claimant = { open: this.#keeping.open, stop: this.#released.signal };
    try {
      return await claim(this.#tree, { ...this.#wanted, instance: old.service.instance }, claimant);
    } catch (error) {
      if (this.#wanted.instance !== undefined || !(error instanceof Failure)) throw error;
      return claim(this.#tree, this.#wanted, claimant);
    }
  }
}

/** What is known of a file that is still ours; undefined where it is not. */
function statOf(directory: HeldDirectory, file: OwnFile): Stats | undefined {
  const stat = statAt(directory.at(file.fileName));
  return stat?.dev === file.dev && stat.ino === file.ino ? stat : undefined;
}

/** What has to be set so that `is` becomes as `wanted`; undefined where it is so already. */
function difference(wanted: Stats, is: Stats): Access | undefined {
  const isSameOwner = wanted.uid === is.uid && wanted.gid === is.gid;
  const mode = wanted.mode & 0o777;
  if (isSameOwner && mode === (is.mode & 0o777)) return undefined;
  return { mode, ...(!isSameOwner && { uid: wanted.uid, gid: wanted.gid }) };
}

function follow(directory: HeldDirectory, file: OwnFile, access: Access): void {
  try {
    setAccess(directory, file, access);
  } catch {
    // Somebody gave the plain one away: we may not follow, so nobody may use ours. Where that fails too, the next look tries again.
    setAccess(directory, file, { mode: 0 });
  }
}
