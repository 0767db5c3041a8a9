// One directory of a tree on another host: what is in it, and whether it must be read again.
import { controlName, isSegment, parseServiceName } from '@dipus/proto/name';
import type { PlacedService } from '@dipus/proto/ask';
import { isDirectory, isSocket, whyNotFarSocket } from './far-trust.ts';
import type { FarName } from './sftp.ts';
import type { FarFile } from './sftp-packet.ts';

/** A service as it stands in a tree on another host. */
export interface FarService extends PlacedService {
  /** The path of its socket there. */
  readonly file: string;
  /** Whether it has a control socket beside it. */
  readonly control: boolean;
  readonly facts: FarFile;
  /** Why an ask that does not name it must not pick it. */
  readonly untrusted?: string;
}

/** Where a directory stands. The root has no area, and holds nothing but areas. */
export interface FarPlace {
  readonly path: string;
  readonly area: string | undefined;
  readonly protocol: string;
  /** Why something above it is not trusted. */
  readonly inherited: string | undefined;
}

export interface FarContents {
  readonly services: ReadonlyMap<string, FarService>;
  readonly directories: ReadonlySet<string>;
}

/** What the names in a directory stand for; what is no service and no directory of the tree is left out. Symbolic links are not followed. */
export function readContents(place: FarPlace, names: readonly FarName[], untrusted: string | undefined, you: number): FarContents {
  const directories = names.filter(({ name, file }) => isDirectory(file) && isSegment(name)).map(({ name }) => name);
  const services = new Map<string, FarService>();
  if (place.area === undefined) return { services, directories: new Set(directories) };
  const all = new Set(names.map(({ name }) => name));
  for (const each of names) {
    const parsed = isSocket(each.file) ? parseServiceName(each.name) : undefined;
    if (!parsed) continue;
    const file = `${place.path}/${each.name}`;
    const why = untrusted ?? whyNotFarSocket(each, you);
    const control = all.has(controlName(each.name));
    const service = { ...parsed, area: place.area, protocol: place.protocol, file, control, facts: each.file };
    services.set(file, why === undefined ? service : { ...service, untrusted: why });
  }
  return { services, directories: new Set(directories) };
}

export function childOf(place: FarPlace, name: string, inherited: string | undefined): FarPlace {
  const path = `${place.path}/${name}`;
  if (place.area === undefined) return { path, area: name, protocol: '', inherited };
  return { path, area: place.area, protocol: place.protocol === '' ? name : `${place.protocol}/${name}`, inherited };
}

export function isSameService(a: FarService, b: FarService): boolean {
  const [x, y] = [a.facts, b.facts];
  const isSameFile = x.mtimeSeconds === y.mtimeSeconds && x.mode === y.mode && x.uid === y.uid && x.gid === y.gid;
  return isSameFile && a.control === b.control && a.untrusted === b.untrusted;
}

// mtime has whole seconds: what changes in the second of the last change shows only when that second is over.
const settledMs = 2000;

/** Tells by mtime whether a directory may have changed since it was last read. No clock there is compared with ours. */
export class ReadState {
  #mtimeSeconds: number | undefined;
  #seenAtMs = 0;
  #readAtMs = 0;

  /** To be called with what is seen now; true: read it. */
  mustRead({ mtimeSeconds }: FarFile, nowMs: number): boolean {
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
