// Pre-shared keys: a line IDENTITY:HEX each, as stunnel's PSKsecrets has them (dtls(1), FILES).
import { readFileSync, statSync, type Stats } from 'node:fs';
import { Failure } from '@dipus/proto/failure';
import { linesOf } from '@dipus/proto/file-lines';
import { printable } from '@dipus/proto/printable';

const leastKeyBytes = 16;
const identityPattern = /^[A-Za-z0-9._-]{1,64}$/;
const ownUid = process.geteuid!();

/** A file of keys, looked at each time that one is wanted. One with errors is warned of, and the keys that it had before still hold. */
export class KeyFile {
  readonly #path: string;
  readonly #warn: (error: unknown) => void;
  #keys: ReadonlyMap<string, Buffer>;
  #stamp: string;

  /** Throws Failure. */
  constructor(path: string, warn: (error: unknown) => void) {
    this.#path = path;
    this.#warn = warn;
    const stat = this.#stat();
    this.#stamp = stampOf(stat);
    this.#keys = this.#read(stat);
  }

  get path(): string {
    return this.#path;
  }

  /** The key of each identity, as the file has them now. */
  keys(): ReadonlyMap<string, Buffer> {
    try {
      const stat = this.#stat();
      const stamp = stampOf(stat);
      if (stamp !== this.#stamp) {
        // Told once for each change.
        this.#stamp = stamp;
        this.#keys = this.#read(stat);
      }
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (this.#stamp === '' && error.code !== undefined) return this.#keys;
      if (error.code !== undefined) this.#stamp = '';
      this.#warn(error.withHint('the keys that were read before still hold'));
    }
    return this.#keys;
  }

  #stat(): Stats {
    try {
      return statSync(this.#path);
    } catch (error) {
      throw new Failure('read keys in', this.#path, error);
    }
  }

  #read(stat: Stats): ReadonlyMap<string, Buffer> {
    const why = whyNotKeys(stat);
    if (why !== undefined) throw new Failure('use keys in', this.#path, why).withHint('chmod 600');
    let text;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      throw new Failure('read keys in', this.#path, error);
    }
    return parseKeys(text, this.#path);
  }
}

function stampOf({ dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs, ctimeMs].join();
}

function whyNotKeys({ mode, uid }: Stats): string | undefined {
  if (uid !== 0 && uid !== ownUid) return 'it belongs to another user';
  return (mode & 0o077) === 0 ? undefined : 'others may read or write it';
}

/** Throws Failure, by line; never with the key in it. */
function parseKeys(text: string, path: string): ReadonlyMap<string, Buffer> {
  const keys = new Map<string, Buffer>();
  for (const { line, content } of linesOf(text)) {
    const words = content.trim();
    if (words.startsWith(';')) continue;
    const refused = (why: string): Failure => new Failure('read keys in', `${path}:${line}`, why);
    const colon = words.indexOf(':');
    const identity = words.slice(0, colon);
    const hex = words.slice(colon + 1);
    if (colon < 0 || !identityPattern.test(identity))
      throw refused('not IDENTITY:HEX, IDENTITY of letters, digits, dot, _ and -, up to 64');
    if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) throw refused(`the key of ${printable(identity)} is not hexadecimal`);
    if (hex.length < 2 * leastKeyBytes) throw refused(`the key of ${printable(identity)} has less than ${leastKeyBytes} bytes`);
    if (keys.has(identity)) throw refused(`${printable(identity)} has a key already`);
    keys.set(identity, Buffer.from(hex, 'hex'));
  }
  return keys;
}
