// The birth and the end of a service's two sockets (tree.md, Birth of a socket).
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, lstatSync, unlinkSync } from 'node:fs';
import { once } from 'node:events';
import type { Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, Failure } from '@dipus/proto/failure';
import { bindingName, controlName, maxInstance, printServiceName, type Service } from '@dipus/proto/name';
import { timing } from '@dipus/proto/timing';
import { isInPlace, makeDirectory, notAllowed, type HeldDirectory } from './directory.ts';
import { withLock } from './lock.ts';
import { linkNew, removeOwn, removeSocket, type OwnFile } from './own-file.ts';
import { probeService, type State } from './probe.ts';
import type { Tree } from './root.ts';
import { maxPathBytes } from './socket-file.ts';

/** The service that somebody wants to make. Without `instance` the smallest free number is taken. */
export interface Wanted {
  readonly area: string;
  readonly protocol: string;
  readonly name: string;
  readonly host: string;
  readonly instance?: number;
  /** Mode and group of both sockets; 0600 and the process's own unless given. */
  readonly mode?: number;
  readonly gid?: number;
}

/** The two servers of a service, not listening yet. */
export interface Servers {
  readonly plain: Server;
  readonly control: Server;
}

/** A name that is ours, with the sockets that answer for it. */
export interface Claim {
  readonly service: Service;
  /** The path of the plain socket. */
  readonly path: string;
  readonly isLong: boolean;
  readonly directory: HeldDirectory;
  readonly files: readonly OwnFile[];
  /** Takes the files out of the tree, if they are still ours, and stops listening. Connections that are open live on. Once is enough. */
  release(): void;
}

/**
 * Makes both sockets of a service listen under a name of their own: never open to more than `mode` says, never visible before they listen,
 * never in the place of a living one or of anything that is not a socket; a dead one is taken over. Throws Failure.
 */
export async function claim(tree: Tree, wanted: Wanted, open: () => Servers): Promise<Claim> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await claimOnce(tree, wanted, open);
    } catch (error) {
      // Somebody has removed the empty directory between its making and the first file in it.
      if (codeOf(error) !== 'ENOENT' || attempt === 10) throw error;
    }
  }
}

async function claimOnce(tree: Tree, wanted: Wanted, open: () => Servers): Promise<Claim> {
  const directory = makeDirectory(tree, wanted.area, wanted.protocol);
  const born = new Newborn(directory, open());
  try {
    await born.bind(wanted);
    return await born.settle(wanted);
  } catch (error) {
    const path = `${directory.path}/${wanted.name}`;
    // libuv makes EACCES of the ENOENT with which bind(2) tells of a directory that is gone.
    const failure = isInPlace(directory) ? notAllowed(path, error, directory) : new Failure('create', path, gone);
    born.abandon();
    throw error instanceof Failure ? error : failure;
  }
}

const gone = Object.assign(new Error('its directory was taken away'), { code: 'ENOENT' });

/** Both sockets of a service between the first bind and the final name. */
class Newborn {
  readonly #directory: HeldDirectory;
  readonly #servers: Servers;
  #plain: OwnFile | undefined;
  #control: OwnFile | undefined;

  constructor(directory: HeldDirectory, servers: Servers) {
    this.#directory = directory;
    this.#servers = servers;
  }

  async bind(wanted: Wanted): Promise<void> {
    const fileName = printServiceName({ ...wanted, instance: wanted.instance ?? 0 });
    if (Buffer.byteLength(controlName(fileName)) > 255) throw new Failure('create', fileName, 'longer than a file name can be');
    this.#control = await this.#bindOne(this.#servers.control, controlName(fileName), wanted);
    this.#plain = await this.#bindOne(this.#servers.plain, fileName, wanted);
  }

  // The umask is the process's: nothing may come between its change and its return, and listen() binds before it returns.
  async #bindOne(server: Server, fileName: string, wanted: Wanted): Promise<OwnFile> {
    const name = bindingName(fileName, randomBytes(4).toString('hex'));
    const umask = process.umask(0o177);
    try {
      server.listen({ path: this.#directory.bindPath(name), backlog: 4096 });
    } finally {
      process.umask(umask);
    }
    await once(server, 'listening');
    const path = this.#directory.at(name);
    const { dev, ino } = lstatSync(path);
    try {
      if (wanted.gid !== undefined) chownSync(path, -1, wanted.gid);
      if (wanted.mode !== undefined) chmodSync(path, wanted.mode);
    } catch (error) {
      unlinkSync(path);
      throw new Failure('set group of', `${this.#directory.path}/${fileName}`, error, 'you must be a member of the group');
    }
    return { fileName: name, dev, ino };
  }

  /** Finds a number and links the final names. */
  async settle(wanted: Wanted): Promise<Claim> {
    for (let instance = wanted.instance ?? 0; instance <= maxInstance;) {
      const service = { protocol: wanted.protocol, name: wanted.name, host: wanted.host, instance };
      const fileName = printServiceName(service);
      const files = this.#link(fileName) ?? (await this.#replaceDead(fileName));
      if (files === 'locked') {
        instance = this.#next(wanted, instance, 'its directory is locked by another program');
        continue;
      }
      if (files) return this.#claimed(service, files);
      const state = await probeService(this.#directory.path, fileName);
      if (state === 'newborn') await sleep(timing.newbornMs / 4);
      else if (state !== 'dead' && state !== 'gone')
        instance = this.#next(wanted, instance, state === 'other' ? 'in use by something that is not a service' : 'in use');
      else await sleep(10);
    }
    throw new Failure(
      'create',
      `${this.#directory.path}/${wanted.name}.${wanted.host}`,
      `all ${maxInstance + 1} instance numbers are in use`,
    );
  }

  #next(wanted: Wanted, instance: number, why: string): number {
    if (wanted.instance === undefined) return instance + 1;
    const path = `${this.#directory.path}/${printServiceName({ ...wanted, instance })}`;
    throw new Failure('create', path, why, 'leave out the number to get a free one');
  }

  // The dead are looked for first without the lock, so that a crowd of living ones does not queue for it.
  async #replaceDead(fileName: string): Promise<OwnFile[] | 'locked' | undefined> {
    if ((await this.#probe(fileName)) !== 'dead') return undefined;
    const result = await withLock(this.#directory.path, this.#directory.stat, async () => {
      if ((await this.#probe(fileName)) !== 'dead') return 'changed';
      for (const name of [fileName, controlName(fileName)]) removeSocket(this.#directory.at(name));
      return this.#link(fileName) ?? 'changed';
    });
    return result === 'changed' ? undefined : (result ?? 'locked');
  }

  #probe(fileName: string): Promise<State> {
    return probeService(this.#directory.accessPath, fileName);
  }

  /** Links both final names, the control socket first; undefined where one of them is taken. */
  #link(fileName: string): OwnFile[] | undefined {
    const at = this.#directory.at;
    const [plain, control] = [this.#plain!, this.#control!];
    // A control socket of ours must not stand beside somebody else's living service, however short.
    if (lstatSync(at(fileName), { throwIfNoEntry: false })) return undefined;
    if (!linkNew(at(control.fileName), at(controlName(fileName)))) return undefined;
    if (!linkNew(at(plain.fileName), at(fileName))) {
      unlinkSync(at(controlName(fileName)));
      return undefined;
    }
    unlinkSync(at(plain.fileName));
    unlinkSync(at(control.fileName));
    return [
      { ...plain, fileName },
      { ...control, fileName: controlName(fileName) },
    ];
  }

  #claimed(service: Service, files: OwnFile[]): Claim {
    const path = `${this.#directory.path}/${printServiceName(service)}`;
    const isLong = Buffer.byteLength(path) > maxPathBytes;
    let isReleased = false;
    const release = (): void => {
      if (isReleased) return;
      isReleased = true;
      removeOwn(this.#directory, files);
      this.#close();
    };
    return { service, path, isLong, directory: this.#directory, files, release };
  }

  /** Undoes what was made so far. */
  abandon(): void {
    removeOwn(
      this.#directory,
      [this.#plain, this.#control].filter((file) => file !== undefined),
    );
    this.#close();
  }

  #close(): void {
    for (const server of [this.#servers.plain, this.#servers.control]) {
      // One that never listened says so in an error event, which is no news here.
      if (server.listening) server.close();
    }
    this.#directory.close();
  }
}
