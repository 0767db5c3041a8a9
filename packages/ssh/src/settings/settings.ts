/** What `ssh -G` printed, by name. */
export interface Settings {
  /** The first value. */
  one(name: string): string | undefined;
  /** The same, but for `none`, which stands for nothing. */
  word(name: string): string | undefined;
  all(name: string): readonly string[] | undefined;
  /** A list at commas. */
  list(name: string): readonly string[] | undefined;
  /** Paths at spaces; `none` is none. */
  files(name: string, fallback: readonly string[]): readonly string[];
  isOn(name: string, fallback: boolean): boolean;
  /** A time in seconds, as milliseconds; undefined for none. */
  seconds(name: string): number | undefined;
}

/** Reads lines of `name value`; a name may come more than once. */
export function parseSettings(text: string): Settings {
  const values = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const [, name, value] = /^(\S+) (.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) values.set(name.toLowerCase(), [...(values.get(name.toLowerCase()) ?? []), value]);
  }
  const one = (name: string): string | undefined => values.get(name)?.[0];
  const word = (name: string): string | undefined => (one(name) === 'none' ? undefined : one(name));
  return {
    one,
    word,
    all: (name) => values.get(name),
    list: (name) => one(name)?.split(','),
    files: (name, fallback) => (one(name) === undefined ? fallback : splitPaths(one(name)!)).filter((path) => path !== 'none'),
    isOn: (name, fallback) => (one(name) === undefined ? fallback : /^(?:yes|true)$/.test(one(name)!)),
    seconds: (name) => (/^[1-9]\d*$/.test(one(name) ?? '') ? Number(one(name)) * 1000 : undefined),
  };
}

/** `ssh -G` prints paths that hold spaces without quotes: a part that does not begin as a path belongs to the one before it. */
function splitPaths(text: string): string[] {
  return text.split(/ (?=[/~$%]|none$)/);
}
