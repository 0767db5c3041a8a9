import { Transform } from 'node:stream';

const tilde = 0x7e;
const dot = 0x2e;

/**
 * What is typed, but for ssh's escapes behind a newline (ssh(1), Escape characters): `~.` ends it with the error that `ended` makes, and
 * nothing that was typed later is passed on; `~~` is one `~`. Whatever else follows a `~` is passed on with it.
 */
export function readEscapes(ended: () => Error): Transform {
  let isLineStart = true;
  let isEscape = false;
  return new Transform({
    transform(typed: Buffer, _, done) {
      const passed: number[] = [];
      for (const byte of typed) {
        if (isEscape && byte === dot) return done(ended());
        if (isLineStart && !isEscape && byte === tilde) {
          isEscape = true;
          continue;
        }
        if (isEscape && byte !== tilde) passed.push(tilde);
        isEscape = false;
        passed.push(byte);
        isLineStart = byte === 0x0d || byte === 0x0a;
      }
      done(null, Buffer.from(passed));
    },
    flush(done) {
      done(null, isEscape ? Buffer.of(tilde) : null);
    },
  });
}
