/** Words between blanks; what stands in double quotes is part of a word, with \" and \\ in it. undefined: a quote has no end. */
export function quotedWords(text: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  const part = /"((?:[^"\\]|\\.)*)"|([^\s"]+)|(\s+)/y;
  while (part.lastIndex < text.length) {
    const found = part.exec(text);
    if (!found) return undefined;
    const [, quoted, plain, blanks] = found;
    if (blanks === undefined) {
      word = `${word ?? ''}${plain ?? quoted!.replace(/\\(["\\])/g, '$1')}`;
      continue;
    }
    if (word !== undefined) words.push(word);
    word = undefined;
  }
  return word === undefined ? words : [...words, word];
}
