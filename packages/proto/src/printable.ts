// C0, DEL and C1 controls; bidirectional controls; line and paragraph separators.
const UNSAFE = '\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069';
const unsafe = new RegExp(`[${UNSAFE}]`, 'u');
const unsafeAll = new RegExp(`[${UNSAFE}]|\\p{Surrogate}`, 'gu');

/** Whether text holds nothing that could move a terminal's cursor, start a line or reorder what is read. */
export function isPrintable(text: string): boolean {
  return !unsafe.test(text) && !/\p{Surrogate}/u.test(text);
}

/** Text from a peer made safe to show: control characters, bidirectional controls and lone surrogates as `\u{…}`. */
export function printable(text: string): string {
  return text.replace(unsafeAll, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}
