// One directory of a tree of a remote host: what is in it, and whether it must be read again.
import { controlName, isSegment, isTooLong, parseServiceName } from '@dipus/proto/name';
import type { ServiceInArea } from '@dipus/proto/ask';
import { whyNotControl, whyNotSocket, type Trust } from '@dipus/proto/trust';
import { isDirectory, isSocket, linksOf } from './remote-trust.ts';
import type { RemoteName } from './sftp.ts';
import type { RemoteFile } from './sftp-packet.ts';

/** A service as it stands in a tree of a remote host. */
export interface RemoteServiceFile extends ServiceInArea {
  /** The path of its socket on the remote host. */
  readonly file: string;
  /** Whether it has a control socket beside it. */
  readonly hasControl: boolean;
  readonly facts: RemoteFile;
  /** Why an ask that does not name it must not pick it. */
  readonly untrusted?: string;
}

/** Where a directory stands. The root has no area, and holds nothing but areas. */
export interface RemoteDirectory {
  readonly path: string;
  readonly area: string | undefined;
  readonly protocol: string;
  /** Why something above it is not trusted. */
  readonly inherited: string | undefined;
}

export interface RemoteContents {
  readonly services: ReadonlyMap<string, RemoteServiceFile>;
  readonly directories: ReadonlySet<string>;
}

/** How far a directory is trusted. */
export interface Standing {
  /** Why not. */
  readonly untrusted: string | undefined;
  readonly trust: Trust;
}

/**
 * What the names in a directory stand for; what is no service and no directory of the tree is left out. Symbolic links are not
 * followed.
 */
export function readContents(directory: RemoteDirectory, names: readonly RemoteName[], { untrusted, trust }: Standing): RemoteContents {
  const directories = names.filter(({ name, file }) => isDirectory(file) && isSegment(name)).map(({ name }) => name);
  const services = new Map<string, RemoteServiceFile>();
  if (directory.area === undefined) return { services, directories: new Set(directories) };
  const all = new Map(names.map((each) => [each.name, each]));
  for (const each of names) {
    const parsed = isSocket(each.file) ? parseServiceName(each.name) : undefined;
    const file = `${directory.path}/${each.name}`;
    if (!parsed || isTooLong(file)) continue;
    const why = untrusted ?? whyNotSocket(each.file, linksOf(each), trust);
    const beside = all.get(controlName(each.name));
    const hasControl = beside !== undefined && whyNotControl(beside.file, linksOf(beside), each.file) === undefined;
    const service = { ...parsed, area: directory.area, protocol: directory.protocol, file, hasControl, facts: each.file };
    services.set(file, why === undefined ? service : { ...service, untrusted: why });
  }
  return { services, directories: new Set(directories) };
}

export function childOf(directory: RemoteDirectory, name: string, inherited: string | undefined): RemoteDirectory {
  const path = `${directory.path}/${name}`;
  if (directory.area === undefined) return { path, area: name, protocol: '', inherited };
  return { path, area: directory.area, protocol: directory.protocol === '' ? name : `${directory.protocol}/${name}`, inherited };
}

/** Whether it is the one it was, whatever its mode is now. */
export function isSameService(a: RemoteServiceFile, b: RemoteServiceFile): boolean {
  const [x, y] = [a.facts, b.facts];
  const isSameFile = x.mtimeSeconds === y.mtimeSeconds && x.uid === y.uid && x.gid === y.gid;
  return isSameFile && a.hasControl === b.hasControl && a.untrusted === b.untrusted;
}

// mtime has whole seconds: what changes in the second of the last change shows only when that second is over.
const settledMs = 2000;

/** Tells by mtime whether a directory may have changed since it was last read. No clock of the remote host is compared with ours. */
export class ReadState {
  #mtimeSeconds: number | undefined;
  #seenAtMs = 0;
  #readAtMs = 0;

  /** To be called with what is seen now; true: read it. */
  mustRead({ mtimeSeconds }: RemoteFile, nowMs: number): boolean {
    if (mtimeSeconds !== this.#mtimeSeconds) {
      this.#mtimeSeconds = mtimeSeconds;
      this.#seenAtMs = nowMs;
      return true;
    }
    return this.#readAtMs - this.#seenAtMs < settledMs;
  }

  wasRead(nowMs: number): void {
    this.#readAtMs = nowMs;
  }

  /** What was read is not to be relied on. */
  forget(): void {
    this.#mtimeSeconds = undefined;
  }
}
