// The tree of a remote host, as SFTP shows it: what is there, and at each look what has come and gone.
import { Failure } from '@dipus/proto/failure';
import {
  childOf,
  isSameService,
  readContents,
  ReadState,
  type RemoteContents,
  type RemoteDirectory,
  type RemoteServiceFile,
} from './remote-directory.ts';
import { maxDepth, maxTreePathBytes } from '@dipus/proto/name';
import { whyNotAsRoot, whyNotDirectory, type Trust } from '@dipus/proto/trust';
import { isDirectory, readRemoteTrust } from './remote-trust.ts';
import { timing } from '@dipus/proto/timing';
import { mapFew } from '@dipus/proto/waiting';
import { SftpError } from './sftp-answer.ts';
import type { Budget, Sftp } from './sftp.ts';
import type { RemoteFile } from './sftp-packet.ts';

export interface RemoteTreeEvents {
  added(service: RemoteServiceFile): void;
  removed(service: RemoteServiceFile): void;
  /** Its mode is another one. */
  changed(service: RemoteServiceFile): void;
  /** Something on the remote host is wrong; the rest goes on. */
  trouble(reason: string): void;
}

/** Where a tree is, and how its host is called in messages. */
export interface RemoteRoot {
  readonly path: string;
  /** `ssh://HOST`. */
  readonly host: string;
}

interface Known {
  readonly directory: RemoteDirectory;
  readonly state: ReadState;
  untrusted: string | undefined;
  contents: RemoteContents;
}

// More, deeper and longer than any tree is: the remote host must not make us read for ever.
const maxDirectories = 20_000;
const maxLookBytes = 16 << 20;
const maxAtOnce = 64;
const nothing: RemoteContents = { services: new Map(), directories: new Set() };

/** Follows a tree. Each look() tells of the changes since the one before. */
export class RemoteTree {
  readonly #sftp: Sftp;
  readonly #root: RemoteRoot;
  readonly #events: RemoteTreeEvents;
  readonly #known = new Map<string, Known>();
  #trust: Trust | undefined;
  #budget: Budget = { leftBytes: 0 };
  #isThorough = false;

  constructor(sftp: Sftp, root: RemoteRoot, events: RemoteTreeEvents) {
    this.#sftp = sftp;
    this.#root = root;
    this.#events = events;
  }

  /**
   * Rejects with Failure where there is no tree, or none that may be relied on: what was known is told as gone then. Rejects with
   * SftpLost, also where it takes longer than timing.lookMs. `isThorough`: reads also directories whose own time has not changed.
   */
  async look(isThorough: boolean): Promise<void> {
    const late = setTimeout(() => this.#sftp.fail(`its tree cannot be read within ${timing.lookMs / 1000} s`), timing.lookMs);
    this.#isThorough = isThorough;
    try {
      await this.#look();
    } finally {
      clearTimeout(late);
    }
  }

  async #look(): Promise<void> {
    try {
      await this.#checkRoot();
    } catch (error) {
      this.#drop(this.#root.path);
      throw error;
    }
    this.#budget = { leftBytes: maxLookBytes };
    const known = [...this.#known.values()].map(({ directory }) => directory);
    await this.#visitAll(known.length === 0 ? [this.#rootDirectory] : known);
    if (this.#budget.leftBytes <= 0) this.#events.trouble(`more than ${maxLookBytes >> 20} MiB of names; the rest is left out`);
  }

  get #rootDirectory(): RemoteDirectory {
    return { path: this.#root.path, area: undefined, protocol: '', inherited: undefined };
  }

  async #checkRoot(): Promise<void> {
    const { path, host } = this.#root;
    const hint = 'services are made on it by dserve or socat; another root is named by ?root=/DIR';
    try {
      const trust = (this.#trust ??= await readRemoteTrust(this.#sftp));
      const parents = parentsOf(await this.#sftp.realpath(parentOf(path)));
      const files = await Promise.all([this.#sftp.lstat(path), ...parents.map((parent) => this.#sftp.lstat(parent))]);
      const wrong = files.map((file) => whyNotAsRoot(file, trust)).findIndex((why) => why !== undefined);
      if (wrong < 0) return;
      const where = wrong === 0 ? path : `${parents[wrong - 1]} above ${path}`;
      throw new Failure('trust', host, `${where}: ${whyNotAsRoot(files[wrong]!, trust)}`);
    } catch (error) {
      if (!(error instanceof SftpError)) throw error;
      throw new Failure(
        'list the services of',
        host,
        error.code === 'ENOENT' ? `it has no directory ${path}` : `${path}: ${error.message}`,
      ).withHint(hint);
    }
  }

  /** Visits directories, and what new ones are found in them. A few at a time: answers come in order anyway. */
  async #visitAll(directories: RemoteDirectory[]): Promise<void> {
    for (let round = directories; round.length > 0;) {
      const found = (await mapFew(round, maxAtOnce, (directory) => this.#visit(directory))).flat();
      // What others have made must not hide what is ours: the budget is spent on it last.
      round = found.sort((a, b) => Number(a.inherited !== undefined) - Number(b.inherited !== undefined));
    }
  }

  /** Brings what is known of a directory up to date. Returns the directories in it that were not known. */
  async #visit(directory: RemoteDirectory): Promise<RemoteDirectory[]> {
    if (this.#budget.leftBytes <= 0 && !this.#known.has(directory.path)) return [];
    const file = await this.#lookAt(directory.path);
    if (!file) {
      this.#drop(directory.path);
      return [];
    }
    const why = directory.area === undefined ? undefined : whyNotDirectory(file, this.#trust!);
    const untrusted = directory.inherited ?? (why && `directory ${directory.path.slice(directory.path.lastIndexOf('/') + 1)} ${why}`);
    const before = this.#known.get(directory.path);
    if (before && before.untrusted !== untrusted) this.#drop(directory.path);
    const known = this.#known.get(directory.path) ?? { directory, state: new ReadState(), untrusted, contents: nothing };
    this.#known.set(directory.path, known);
    const nowMs = performance.now();
    const mustRead = known.state.mustRead(file, nowMs) || this.#isThorough;
    if (!mustRead || this.#budget.leftBytes <= 0) return [];
    const contents = await this.#read(known);
    if (!contents || this.#known.get(directory.path) !== known) return [];
    known.state.wasRead(nowMs);
    return this.#compare(known, contents);
  }

  /** Undefined where there is no directory. */
  async #lookAt(path: string): Promise<RemoteFile | undefined> {
    try {
      const file = await this.#sftp.lstat(path);
      return isDirectory(file) ? file : undefined;
    } catch (error) {
      if (error instanceof SftpError) return undefined;
      throw error;
    }
  }

  /** Undefined where it has gone meanwhile; nothing where it may not be read. */
  async #read(known: Known): Promise<RemoteContents | undefined> {
    const { directory, untrusted } = known;
    try {
      return readContents(directory, await this.#sftp.list(directory.path, this.#budget), { untrusted, trust: this.#trust! });
    } catch (error) {
      if (!(error instanceof SftpError)) throw error;
      if (error.code === 'EACCES') return nothing;
      known.state.forget();
      return undefined;
    }
  }

  #compare(known: Known, contents: RemoteContents): RemoteDirectory[] {
    const { services, directories } = known.contents;
    known.contents = contents;
    for (const [file, service] of services) {
      const now = contents.services.get(file);
      if (!now || !isSameService(service, now)) this.#events.removed(service);
    }
    for (const [file, service] of contents.services) {
      const before = services.get(file);
      if (!before || !isSameService(before, service)) this.#events.added(service);
      else if (before.facts.mode !== service.facts.mode) this.#events.changed(service);
    }
    for (const name of directories) if (!contents.directories.has(name)) this.#drop(`${known.directory.path}/${name}`);
    return this.#newDirectories(known);
  }

  #newDirectories({ directory, untrusted, contents }: Known): RemoteDirectory[] {
    const rootBytes = Buffer.byteLength(this.#root.path);
    const directories = [...contents.directories]
      .map((name) => childOf(directory, name, untrusted))
      .filter(({ path }) => !this.#known.has(path) && Buffer.byteLength(path) - rootBytes <= maxTreePathBytes);
    const isDeep = directory.path.slice(this.#root.path.length).split('/').length > maxDepth;
    if (directories.length === 0 || (!isDeep && this.#known.size + directories.length <= maxDirectories)) return directories;
    this.#events.trouble(isDeep ? `directories deeper than ${maxDepth} are left out` : `more than ${maxDirectories} directories`);
    return [];
  }

  /** Forgets a directory and all below it. */
  #drop(path: string): void {
    const known = this.#known.get(path);
    if (!known) return;
    this.#known.delete(path);
    for (const name of known.contents.directories) this.#drop(`${path}/${name}`);
    for (const service of known.contents.services.values()) this.#events.removed(service);
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

/** A directory and all above it. */
function parentsOf(path: string): string[] {
  const all = [path];
  for (let above = path; above !== '/';) all.push((above = parentOf(above)));
  return all;
}
