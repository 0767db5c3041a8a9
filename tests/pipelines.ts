// Pipelines of the shell: hard ones by hand, and any number of others whose stages are known.

/** A pipeline and its stages. */
export interface KnownPipeline {
  readonly text: string;
  readonly stages: readonly string[];
}

/** Each with its stages, as a shell would run them one by one. */
export const hardPipelines: readonly (readonly [text: string, ...stages: string[]])[] = [
  // Quotes.
  ["printf 'a|b\\n' | tr '|' '-'", "printf 'a|b\\n'", "tr '|' '-'"],
  ['printf "a|b\\n" | cat', 'printf "a|b\\n"', 'cat'],
  ['printf a\\|b | cat', 'printf a\\|b', 'cat'],
  ["echo \"a\\\"|\\\"b\" 'it'\\''s|' | cat", "echo \"a\\\"|\\\"b\" 'it'\\''s|'", 'cat'],
  ["echo $'a|\\'b\\t|' | cat", "echo $'a|\\'b\\t|'", 'cat'],
  ["echo 'two\n| lines' | cat", "echo 'two\n| lines'", 'cat'],
  ["echo 'grüße €𝒳|' | tr -d x|cat", "echo 'grüße €𝒳|'", 'tr -d x', 'cat'],
  ["X='a|b' Y=2 sh -c 'echo \"$X|$Y\"' | cat", "X='a|b' Y=2 sh -c 'echo \"$X|$Y\"'", 'cat'],
  ['echo a | awk \'{ print $1 | "cat" }\' | cat', 'echo a', 'awk \'{ print $1 | "cat" }\'', 'cat'],
  // What is filled in.
  ['echo "$(echo a | tr a b)" | cat', 'echo "$(echo a | tr a b)"', 'cat'],
  ['echo `echo a | tr a b` | cat', 'echo `echo a | tr a b`', 'cat'],
  ['echo `echo \\`echo a | tr a c\\` | cat` | cat', 'echo `echo \\`echo a | tr a c\\` | cat`', 'cat'],
  ['echo "$(echo "$(echo "a|b" | cat)|")" | cat', 'echo "$(echo "$(echo "a|b" | cat)|")"', 'cat'],
  ['echo $(case x in (x|y) echo a|cat;; esac) | cat', 'echo $(case x in (x|y) echo a|cat;; esac)', 'cat'],
  ['echo ${x#|}${y:-a|b} | cat', 'echo ${x#|}${y:-a|b}', 'cat'],
  ['echo "${y:-"a|b"}" | cat', 'echo "${y:-"a|b"}"', 'cat'],
  ['echo $((1|2)) $(( (4 | 1) || 0 )) | cat', 'echo $((1|2)) $(( (4 | 1) || 0 ))', 'cat'],
  ["echo {a,'|'} | cat", "echo {a,'|'}", 'cat'],
  ['cat <(echo a | cat) | cat', 'cat <(echo a | cat)', 'cat'],
  ['echo a > >(cat | tr a b) | cat', 'echo a > >(cat | tr a b)', 'cat'],
  // Here-documents.
  ['cat <<A | tr a-z A-Z\none|two\nA\n', 'cat <<A\none|two\nA\n', 'tr a-z A-Z'],
  ["cat <<'E F' | cat\n$HOME|`x`\nE F", "cat <<'E F'\n$HOME|`x`\nE F\n", 'cat'],
  ['cat <<-\\A | cat\n\ta | $b\n\tA\n', 'cat <<-\\A\n\ta | $b\n\tA\n', 'cat'],
  ['cat <<A - /dev/fd/3 3<<B | cat\n1\nA\n2\nB\n', 'cat <<A - /dev/fd/3 3<<B\n1\nA\n2\nB\n', 'cat'],
  ['cat <<A | sed -f /dev/fd/3 3<<-B\na\nA\n\ts|a|b|\n\tB\n', 'cat <<A\na\nA\n', 'sed -f /dev/fd/3 3<<-B\n\ts|a|b|\n\tB\n'],
  ['{ cat <<A; echo z; } | cat\nx\nA', '{ cat <<A; echo z; }\nx\nA\n', 'cat'],
  ['cat <<A | {\nx | y\nA\ncat; }', 'cat <<A\nx | y\nA\n', '{\ncat; }'],
  [
    'cat <<A | { cat; cat <<B; cat <<C\na\nA\nb\nB\nc\nC\n} | cat <<D - \nd\nD\n',
    'cat <<A\na\nA\n',
    '{ cat; cat <<B; cat <<C\nb\nB\nc\nC\n}',
    'cat <<D -\nd\nD\n',
  ],
  ['cat <<A |\nx\nA\n# | z\ncat', 'cat <<A\nx\nA\n', 'cat'],
  ['cat <<A | cat # c | d\n# | x\n@a b\nA\n', 'cat <<A\n# | x\n@a b\nA\n', 'cat'],
  ['echo "$(cat <<A | cat\na|b\nA\n)" | cat', 'echo "$(cat <<A | cat\na|b\nA\n)"', 'cat'],
  ["cat <<< 'a|b' | cat", "cat <<< 'a|b'", 'cat'],
  // Compound commands.
  ['case x in a|x) echo hit;; esac | cat', 'case x in a|x) echo hit;; esac', 'cat'],
  ['(echo a; echo b) | (cat | sort -r) 2>&1', '(echo a; echo b)', '(cat | sort -r) 2>&1'],
  ['{ echo a; echo b; } | { read x; echo "$x"; cat; }', '{ echo a; echo b; }', '{ read x; echo "$x"; cat; }'],
  ['if true | false; then echo a; else echo b; fi | cat', 'if true | false; then echo a; else echo b; fi', 'cat'],
  [
    'printf \'1\\n2\\n\' | while read -r x; do echo "$x|" | cat; done | cat',
    "printf '1\\n2\\n'",
    'while read -r x; do echo "$x|" | cat; done',
    'cat',
  ],
  ['{ f() { echo "$1|" | cat; }; f a; } | cat', '{ f() { echo "$1|" | cat; }; f a; }', 'cat'],
  ['for ((i=0; i<2||i<1; i++)); do echo $i; done | cat', 'for ((i=0; i<2||i<1; i++)); do echo $i; done', 'cat'],
  ['{ [[ ab == c || ab == @(a|ab) ]] && echo yes; } | cat', '{ [[ ab == c || ab == @(a|ab) ]] && echo yes; }', 'cat'],
  // Operators, comments, and lines.
  ['{ echo out; echo err >&2; } |& sort | cat', '{ echo out; echo err >&2; }', 'sort', 'cat'],
  ['cat /no/file 2>&1 | wc -l', 'cat /no/file 2>&1', 'wc -l'],
  ['echo a >| /dev/null | wc -l', 'echo a >| /dev/null', 'wc -l'],
  ["echo a b#c '#' \\# | # first | x\n  # second | x\n cat # third | x", "echo a b#c '#' \\#", 'cat'],
  ['echo a \\\n  b | \\\n cat', 'echo a \\\n  b', 'cat'],
  ['\n\n ! echo a|cat|cat\t\n\n', 'echo a', 'cat', 'cat'],
];

const words = [
  'a',
  '-n',
  "'|'",
  '"| b"',
  '\\|',
  '"$x"',
  '$(b | c)',
  '`b | c`',
  '${x#|}',
  '$((1|2))',
  'é',
  'x=1',
  '*',
  '~',
  'a#b',
  "'@n'",
  '{}',
];
const betweens = [' | ', '|', ' |\t', ' \\\n| ', ' | \\\n'];

/** A here-document whose operator has been written and whose body has not. */
interface Pending {
  readonly body: string;
  readonly stage: StageText;
}

/** What a stage is to be: its text, and the bodies that come behind its last line. */
interface StageText {
  text: string;
  behind: string;
}

/** A pipeline that every POSIX shell reads, of 1 to 6 stages. `random` gives a number below another. */
export function knownPipeline(random: (below: number) => number): KnownPipeline {
  let text = '';
  let pending: Pending[] = [];
  let current: StageText | undefined;
  const stages: StageText[] = [];
  const pick = (list: readonly string[]): string => list[random(list.length)]!;

  const put = (more: string): void => {
    text += more;
    if (current) current.text += more;
  };
  const endLine = (): void => {
    put('\n');
    for (const { body, stage } of pending) {
      text += body;
      if (stage === current) current.text += body;
      else stage.behind += body;
    }
    pending = [];
  };
  const simple = (): void => {
    if (random(8) === 0) put('X="1|2" ');
    put(pick(['a', './b', '/bin/c', '"d e"', 'f']));
    for (let left = random(4); left > 0; left--) put(` ${pick(words)}`);
    if (random(4) === 0) put(pick([' 2>&1', ' >| f', ' <f', ' >>"f|g"']));
    if (random(6) > 0) return;
    const word = `E${random(3)}`;
    put(` <<${pick([word, `'${word}'`])}`);
    pending.push({ body: `${pick(['', 'x | y\n', '# z\n\n', '@n a; b\n'])}${word}\n`, stage: current! });
  };
  const list = (depth: number): void => {
    command(depth + 1);
    for (let left = random(3); left > 0; left--) {
      if (random(3) === 0) endLine();
      else put(pick(['; ', ' | ', ' && ', ' || ', ' & ']));
      command(depth + 1);
    }
    if (random(3) === 0) endLine();
    else put('; ');
  };
  const within = (depth: number, begin: string, end: string): void => {
    put(begin);
    list(depth);
    put(end);
  };
  function command(depth: number): void {
    const kind = depth > 2 ? 9 : random(12);
    if (kind === 0) within(depth, '( ', ')');
    else if (kind === 1) within(depth, '{ ', '}');
    else if (kind === 2) within(depth, 'if a; then ', 'fi');
    else if (kind === 3) within(depth, 'while a | b; do ', 'done');
    else if (kind === 4) within(depth, 'for i in a "|"; do ', 'done');
    else if (kind === 5) within(depth, 'case $x in a|"|") ', ';; esac');
    else simple();
  }

  if (random(5) === 0) text += '! ';
  for (let left = random(6); left >= 0; left--) {
    current = { text: '', behind: '' };
    stages.push(current);
    command(0);
    current = undefined;
    if (left > 0) put(pick(betweens));
    if (left > 0 && random(4) === 0) {
      put(pick(['', ' # c | d', '# e']));
      endLine();
    }
  }
  put(pick(['', ' ', ' # c | d']));
  if (pending.length > 0 || random(3) === 0) endLine();
  return { text, stages: stages.map((stage) => stage.text + (stage.behind && `\n${stage.behind}`)) };
}

/** The same numbers for the same seed (mulberry32). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}
