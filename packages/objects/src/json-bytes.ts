const [space, tab, newline, carriageReturn, quote, comma, colon, backslash] = [0x20, 0x09, 0x0a, 0x0d, 0x22, 0x2c, 0x3a, 0x5c];
const [bracket, brace] = [0x5b, 0x7b];

/** Not 0 for the bytes that matter within a value, outside of its strings. */
export const special: Uint8Array = new Uint8Array(256);
for (const byte of [quote, comma, bracket, brace, bracket + 2, brace + 2]) special[byte] = 1;

const scalars = new Uint8Array(256);
for (const char of '+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz') scalars[char.charCodeAt(0)] = 1;

/** Whether a byte may be in a number or a word. */
export function isScalar(byte: number): boolean {
  return scalars[byte] === 1;
}

function isSpace(byte: number | undefined): boolean {
  return byte === space || byte === newline || byte === tab || byte === carriageReturn;
}

/** The position behind the white space that begins at `from`. */
export function spaceEnd(bytes: Buffer, from: number): number {
  let at = from;
  while (isSpace(bytes[at])) at++;
  return at;
}

/** The position of the white space that ends at `to`, not before `from`. */
export function trailingSpace(bytes: Buffer, from: number, to: number): number {
  let at = to;
  while (at > from && isSpace(bytes[at - 1])) at--;
  return at;
}

/** A byte as it is told. */
export function shown(byte: number): string {
  return byte > space && byte < 0x7f ? String.fromCharCode(byte) : `byte 0x${byte.toString(16).padStart(2, '0')}`;
}

/** Whether a member begins here, as far as these bytes show that, whose name is plainly not this one. */
export function beginsOther(bytes: Buffer, from: number, quoted: Buffer): boolean {
  const start = spaceEnd(bytes, from);
  if (bytes[start] !== quote) return false;
  let [at, isSame] = [start + 1, true];
  for (; ; at++) {
    const byte = bytes[at];
    if (byte === undefined || byte === backslash) return false;
    if (byte === quote) break;
    isSame &&= byte === quoted[at - start];
  }
  return !(isSame && at - start === quoted.length - 1) && bytes[spaceEnd(bytes, at + 1)] === colon;
}

/** Whether what is held, white space and a string, is a name; `quoted`: as it is mostly written. */
export function isNamed(held: readonly Buffer[], quoted: Buffer, name: string): boolean {
  const bytes = Buffer.concat(held);
  const string = bytes.subarray(spaceEnd(bytes, 0));
  if (string.equals(quoted)) return true;
  if (string.length <= quoted.length || !string.includes(backslash)) return false;
  try {
    return JSON.parse(string.toString()) === name;
  } catch {
    return false;
  }
}
