/** Metadata in a stream of objects, put in or taken out: no other byte of it changes. dpipes(1), Objects. */

/** One stream, on its way. What is given back is to be taken piece by piece, before more is pushed. */
export interface Splice {
  /** What becomes of more bytes, as far as that is known. Throws ObjectError. */
  push(bytes: Buffer): Iterable<Buffer>;
  /** What is left when nothing follows. Throws ObjectError where an object has no end. */
  end(): Iterable<Buffer>;
}

export interface SpliceOptions {
  /** The member that has the metadata. */
  readonly name: string;
  /** What it becomes, a JSON object, in place of one that is there; without it that is taken out. */
  readonly metadata?: string;
  /** What becomes of roots that are no objects. */
  readonly roots: Roots;
  /** The key in the metadata of a root that was wrapped. */
  readonly wrappedKey: string;
  /** Each object is read as a whole, and passed on only where it is valid. */
  readonly validates: boolean;
  readonly maxBytes: number;
  /** A root has no metadata; comes once. */
  warn(message: string): void;
}

/** They stay as they are; become the member `value` of an object; or end it all. */
export type Roots = 'pass' | 'wrap' | 'refuse';

/** Where an object is not one. Objects and bytes are counted from 1. */
export class ObjectError extends Error {
  constructor(object: number, byte: number, reason: string) {
    super(`object ${object}, byte ${byte}: ${reason}`);
  }
}
