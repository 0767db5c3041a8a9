// A service as it stands in the tree.
import type { Stats } from 'node:fs';
import type { ServiceInArea } from '@dipus/proto/ask';
import { parseServiceName, type ServiceName } from '@dipus/proto/name';
import { hasOwnControl } from './open-service.ts';

/** Where a directory stands: an area or what is below it. */
export interface TreeDirectory {
  readonly path: string;
  readonly area: string;
  readonly protocol: string;
  /** Why it, or something above it, is not trusted. */
  readonly untrusted: string | undefined;
}

/** What is kept of a file's status. */
export type FileFacts = Pick<Stats, 'ino' | 'mode' | 'uid' | 'gid' | 'mtimeMs'>;

/** What was found of a file besides its name. */
export interface EntryFacts {
  readonly facts: FileFacts;
  readonly hasControl: boolean;
  readonly untrusted?: string | undefined;
}

/** A tree may hold very many: each is one small object, and what its name says is read when somebody asks for it. */
export class Entry implements ServiceInArea, FileFacts {
  readonly directory: TreeDirectory;
  readonly fileName: string;
  /** Something stands at the name of its control socket; whether that exists for us is known when it is opened. */
  readonly hasControl: boolean;
  /** Why an ask that does not name it must not pick it. */
  readonly untrusted: string | undefined;
  readonly ino: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeMs: number;
  #read: ServiceName | undefined;

  constructor(directory: TreeDirectory, fileName: string, { facts, hasControl, untrusted }: EntryFacts) {
    this.directory = directory;
    this.fileName = fileName;
    this.hasControl = hasControl;
    this.untrusted = untrusted;
    this.ino = facts.ino;
    this.mode = facts.mode;
    this.uid = facts.uid;
    this.gid = facts.gid;
    this.mtimeMs = facts.mtimeMs;
  }

  get area(): string {
    return this.directory.area;
  }
  get protocol(): string {
    return this.directory.protocol;
  }
  get file(): string {
    return `${this.directory.path}/${this.fileName}`;
  }
  /** Below the root, as `dls` prints it. */
  get path(): string {
    const { area, protocol } = this.directory;
    return protocol === '' ? `${area}/${this.fileName}` : `${area}/${protocol}/${this.fileName}`;
  }
  get name(): string {
    return this.#parsed.name;
  }
  get host(): string {
    return this.#parsed.host;
  }
  get instance(): number {
    return this.#parsed.instance;
  }
  get nameAndHost(): string {
    const end = this.fileName.lastIndexOf('...');
    return end < 0 ? this.fileName : this.fileName.slice(0, end);
  }

  /** A socket that is in no tree may be called anything. */
  get #parsed(): ServiceName {
    return (this.#read ??= parseServiceName(this.fileName) ?? { name: this.fileName, host: '', instance: 0 });
  }

  /** The same, which has a control socket only where that exists for us. */
  checked(): Entry {
    return new Entry(this.directory, this.fileName, {
      facts: this,
      hasControl: this.hasControl && hasOwnControl(this.file),
      untrusted: this.untrusted,
    });
  }

  /** The same, relied on. */
  trusted(): Entry {
    return new Entry(this.directory, this.fileName, { facts: this, hasControl: this.hasControl });
  }
}
