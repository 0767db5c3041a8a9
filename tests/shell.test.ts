// Pipelines split into stages: hard ones by table, generated ones against sh, what is refused and how, and anything at all.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { splitPipeline } from '@dipus/shell/pipeline';
import { PipelineError } from '@dipus/shell/refusal';
import type { Stage } from '@dipus/shell/stage';
import { rounds, suite, withSandbox } from './harness.ts';
import { hardPipelines, knownPipeline, randomNumbers } from './pipelines.ts';

const test = suite('shell');

function textsOf(text: string): string[] {
  return splitPipeline(text).stages.map((stage) => stage.text);
}

function stageOf(text: string): Stage {
  const { stages } = splitPipeline(text);
  assert.is(stages.length, 1, text);
  return stages[0]!;
}

/** The message and the hint of what is refused. */
function refusalOf(text: string): [message: string, hint: string | undefined] {
  try {
    splitPipeline(text);
  } catch (error) {
    if (error instanceof PipelineError) return [error.message, error.hint];
    throw error;
  }
  throw new Error(`not refused: ${text}`);
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

test('46 hard pipelines', () => {
  assert.is(hardPipelines.length, 46);
  for (const [text, ...stages] of hardPipelines) assert.equal(textsOf(text), stages, text);
});

test('the stages of the hard pipelines do together what bash does with the whole', () =>
  withSandbox(async ({ dir, run }) => {
    const scripts = hardPipelines.map(([text], at) => {
      const { stages } = splitPipeline(text);
      const chain = stages.map((stage) => `bash -c ${quoted(stage.text)}${stage.joinsStderr ? ' 2>&1' : ''}`).join(' | ');
      return `bash -c ${quoted(text)} >whole.${at} 2>&1; { ${chain}; } >chain.${at} 2>&1`;
    });
    writeFileSync(join(dir, 'all.sh'), scripts.join('\n'));
    await run('bash', ['all.sh']);
    for (const [at, [text]] of hardPipelines.entries()) {
      const whole = readFileSync(join(dir, `whole.${at}`), 'utf8');
      assert.is.not(whole, '', text);
      assert.is(readFileSync(join(dir, `chain.${at}`), 'utf8'), whole, text);
    }
  }));

test('! and |&', () => {
  const isNegated = (text: string): boolean => splitPipeline(text).isNegated;
  assert.equal(['a | b', '! a | b', '! ! a', '!a', 'a !'].map(isNegated), [false, true, false, false, false]);
  const joins = splitPipeline('a |& b|c |&\n d').stages.map((stage) => stage.joinsStderr);
  assert.equal(joins, [true, false, true, false]);
});

// A stage, its node or service, and its text.
const places: [text: string, place: string | undefined, text: string][] = [
  ['@db pg_dump shop', 'node db', 'pg_dump shop'],
  ['@db\tX=1 a', 'node db', 'X=1 a'],
  ['@db \\\n a', 'node db', 'a'],
  ['  @db >f a', 'node db', '>f a'],
  ['@db { a; b | c; }', 'node db', '{ a; b | c; }'],
  ['@nas (cat > x && mv x y)', 'node nas', '(cat > x && mv x y)'],
  ['@db case x in a|@b) c;; esac', 'node db', 'case x in a|@b) c;; esac'],
  ['@db if a; then @b c; fi', 'node db', 'if a; then @b c; fi'],
  ['@db while read x; do y; done >f', 'node db', 'while read x; do y; done >f'],
  ['@db cat <<A\n@x y\nA', 'node db', 'cat <<A\n@x y\nA\n'],
  ['@sep://[::1]:7371 a', 'node sep://[::1]:7371', 'a'],
  ['@ssh://kig@b/?root=/x a', 'node ssh://kig@b/?root=/x', 'a'],
  ["@'my node' a", 'node my node', 'a'],
  ['@lame', 'service lame', ''],
  ['@lame # and no command', 'service lame', ''],
  ['@audio/*/lame.box...0', 'service audio/*/lame.box...0', ''],
  ['\\@db a', undefined, '\\@db a'],
  ["'@db' a", undefined, "'@db' a"],
  ['a @db', undefined, 'a @db'],
  ['(@db a)', undefined, '(@db a)'],
];

test('@NODE and @SERVICE', () => {
  for (const [text, place, stageText] of places) {
    // Alone, and between others.
    for (const [at, whole] of [text, `@x { y; } | ${text}\n`].entries()) {
      const stage = splitPipeline(whole).stages[at]!;
      assert.is(stage.where && `${stage.where.kind} ${stage.where.name}`, place, whole);
      assert.is(stage.text, stageText, whole);
    }
  }
  assert.equal(textsOf('@a { x; } | @b | @c (y) |& @d z'), ['{ x; }', '', '(y)', 'z']);
  assert.equal(textsOf('cat <<A | @b {\n1\nA\ncat; }'), ['cat <<A\n1\nA\n', '{\ncat; }']);
});

// A stage, its name, and its words.
const programs: [text: string, name: string | undefined, argv: string[] | undefined][] = [
  ['sort -rn', 'sort', ['sort', '-rn']],
  ['/usr/bin/sort "a b"\' c\' \\*', 'sort', ['/usr/bin/sort', 'a b c', '*']],
  ["'my prog' ''", 'my prog', ['my prog', '']],
  ['so"r"t "a\\"\\\\\\n$" \'\\n\'', 'sort', ['sort', 'a"\\\\n$', '\\n']],
  ['a \\\n  b\\\nc', 'a', ['a', 'bc']],
  ['find . -exec x {} +', 'find', ['find', '.', '-exec', 'x', '{}', '+']],
  ['[ -f x ]', '[', ['[', '-f', 'x', ']']],
  ['dd if=x', 'dd', ['dd', 'if=x']],
  ['\\@db a', '@db', ['@db', 'a']],
  ['@db sort a', 'sort', ['sort', 'a']],
  ['@sort', undefined, undefined],
  ['X=1 Y=2 sort', 'sort', undefined],
  ['sort >f', 'sort', undefined],
  ['sort <<A\nA', 'sort', undefined],
  ['sort $x', 'sort', undefined],
  ['sort "$x"', 'sort', undefined],
  ['sort `x`', 'sort', undefined],
  ['sort *.c', 'sort', undefined],
  ['sort [ab]', 'sort', undefined],
  ['sort ~/x', 'sort', undefined],
  ['sort "~/x"', 'sort', ['sort', '~/x']],
  ['dd if=~/x', 'dd', undefined],
  ['sort {a,b}', 'sort', undefined],
  ["sort $'a'", 'sort', undefined],
  ['$x a', undefined, undefined],
  ['~/bin/x a', undefined, undefined],
  ['/bin/ a', undefined, ['/bin/', 'a']],
  ['X=1', undefined, undefined],
  ['(sort)', undefined, undefined],
  ['{ sort; }', undefined, undefined],
  ['[[ a ]]', undefined, undefined],
];

test('the name of a stage, and its words', () => {
  for (const [text, name, argv] of programs) {
    const stage = stageOf(text);
    assert.is(stage.name, name, text);
    assert.equal(stage.argv, argv, text);
  }
});

const ofBash = [
  '[[ a || b ]] · ((1|2)) · for ((;;)); do a; done · a <(b) · a <<<b · a &>b',
  "a &>>b · a {x}>b · a=(b c) · a+=b c · a[1]=b c · a $'b'",
  'a $"b" · a {b,c} · a @(b|c) · a ${b/c/d} · a ${b:1} · a ${b^}',
  'a ${b@Q} · a ${!b} · a ${b[1]} · a ${!b@} · (a |& b) · a $[1|2]',
  '{ function f { a; }; f; } · case a in b) c;& esac · select a in b; do c; done · a "$(b <(c))" · a `b \\`c <(d)\\``',
].flatMap((line) => line.split(' · '));
const ofAll = [
  'a · [ a ] · a <<B\n$(c)\nB · a ${b:-c} ${b#c} ${#b} ${b%%c}',
  'a $((1|2)) · case a in (b|c) d;; esac · { f() { a; }; f; } · a {} {b}',
  'a \'x <(y)\' · a \\\n b · a >|b 2>&1 <>c · a "{b,c}" · (a; b) · a `b | c` · a $(b | c) · a "${b:-\'c\'}"',
].flatMap((line) => line.split(' · '));

test('what needs bash', () => {
  for (const text of ofBash) assert.ok(stageOf(text).needsBash, text);
  for (const text of ofAll) assert.not(stageOf(text).needsBash, text);
});

const runTwo = (operator: string): string => `dpipes 'a | b'${operator} dpipes 'c'; in one stage: dpipes '(a${operator} b) | c'`;
const quoteIt = "quote with '…' or \\ what is meant for a program";
const stageMissing = '| stands between two stages; quote it where it is meant for a program';
const timeHint = "time dpipes 'a | b' measures all of it; a program that is so called begins with \\: dpipes '\\time a'";
const functionHint = "define it in the stage that calls it: dpipes '{ f() { a; }; f; } | b'";
const coprocHint = "stages are connected without it; in a shell of its own: dpipes '{ coproc a; b; } | c'";
const atHint = 'no shell fills it in; a program that is really so called begins with \\@';
const octalHint = "printf '\\000' writes such a byte by its number in octal";

const refused: [text: string, message: string, hint: string][] = [
  ['a | b && c', '&& at character 7 joins pipelines; there can be only one', runTwo(' &&')],
  ['a || b', '|| at character 3 joins pipelines; there can be only one', runTwo(' ||')],
  ['a | b; c', '; at character 6 ends the pipeline; there can be only one', runTwo(';')],
  ['cat <<A | b; c\nx\nA', '; at line 1, character 12 ends the pipeline; there can be only one', runTwo(';')],
  ['é | "ß𝒳"; c', '; at character 9 ends the pipeline; there can be only one', runTwo(';')],
  ['a; # c', '; at character 2 ends the pipeline', 'leave it out'],
  ['a | b &', '& at character 7 would leave the pipeline in the background', "leave dpipes itself there: dpipes 'a | b' &"],
  ['a & b', '& at character 3 would leave the pipeline in the background', "leave dpipes itself there: dpipes 'a | b' &"],
  [
    'a | b # x\nconstructor',
    'constructor at line 2, character 1 begins another pipeline; there can be only one',
    "a line goes on behind |; in one stage: dpipes '(a; b) | c'",
  ],
  [
    'cat <<A\nx\nA\nb | c',
    'b at line 4, character 1 begins another pipeline; there can be only one',
    "a line goes on behind |; in one stage: dpipes '(a; b) | c'",
  ],
  ['f() { a; }', 'the function at character 1 is defined but not called', functionHint],
  ['a | f() { a; } | b', 'the function at character 5 is defined but not called', functionHint],
  ['function f { a; }', 'the function at character 1 is defined but not called', functionHint],
  ['@db f() { a; }', 'the function at character 5 is defined but not called', functionHint],
  ['coproc a', 'coproc at character 1 is not a stage', coprocHint],
  ['time a | b', 'time at character 1 would measure in one shell, but each stage has its own', timeHint],
  ['! time -p a', 'time at character 3 would measure in one shell, but each stage has its own', timeHint],
  ['time', 'time at character 1 would measure in one shell, but each stage has its own', timeHint],
  ['a | ', 'a stage is missing at character 4', stageMissing],
  ['a |& # b', 'a stage is missing at character 5', stageMissing],
  ['a | | b', 'a stage is missing at character 4', stageMissing],
  ['| a', 'a stage is missing at character 1', stageMissing],
  ['a\n| b', 'a stage is missing at line 2, character 1', stageMissing],
  ['a $(b |) | c', 'a stage is missing at character 8', stageMissing],
  ['a | ! b', '! at character 5 negates the whole pipeline', "it stands before it: dpipes '! a | b'"],
  ['', 'there is no command', "dpipes 'sort FILE | head -3'"],
  [' \n\\\n # a | b\n', 'there is no command', "dpipes 'sort FILE | head -3'"],
  ['!', 'there is no command', "dpipes 'sort FILE | head -3'"],
  ['a (', '( at character 3 is part of no command', quoteIt],
  ['a | b ( | c', '( at character 7 is part of no command', quoteIt],
  ['a )', "unexpected token ')' at character 3", quoteIt],
  ['a "b', 'unterminated double quote at character 3', quoteIt],
  ['a | { b', "expected '}' to close brace group at character 8", quoteIt],
  ['a `b \\`c "\\`` | d', 'unterminated double quote at character 3', quoteIt],
  [
    'echo "${x:-it\'s}" | a "it\'s}"',
    "a ' that not every shell reads alike at character 12",
    'put it into a variable first: { x="it\'s"; a "${y:-$x}"; } | b',
  ],
  ['cat <<A | b', 'here-document without an end at character 5', 'end it with a line of nothing but A'],
  ['a | cat <<"E F"\nx', 'here-document without an end at line 1, character 9', 'end it with a line of nothing but E F'],
  ['@$N a', '@$N at character 1 names no node and no service', atHint],
  ['a | @ b', '@ at character 5 names no node and no service', atHint],
  ['a | @', '@ at character 5 names no node and no service', atHint],
  ['@{a,b} c', '@{a,b} at character 1 names no node and no service', atHint],
  ['@(a|b) c', '@(a|b) at character 1 names no node and no service', atHint],
  ['@a @b c', '@b at character 4 stands behind @a', 'a stage has one place; a program that is really so called begins with \\@'],
  ['@a ! b | c', '! at character 4 stands behind @a', "it negates the whole pipeline: dpipes '! @a COMMAND'"],
  ['a | X=1 @b c', '@b at character 9 does not begin its stage', "dpipes '@b X=1 COMMAND'"],
  [
    '@lame > f',
    '@lame at character 1 has a redirection but no command',
    "a service writes to the next stage: dpipes '@lame | cat > FILE'; a node wants a command before the redirection",
  ],
  ['a\0b', 'a NUL at character 2', octalHint],
  ['a \ufffd', 'bytes that are not UTF-8 at character 3', octalHint],
  ['a \ud800', 'bytes that are not UTF-8 at character 3', octalHint],
  [
    'a\n\u001b[2J',
    '\\u{1b}[2J at line 2, character 1 begins another pipeline; there can be only one',
    "a line goes on behind |; in one stage: dpipes '(a; b) | c'",
  ],
];

test('what is refused, where, and the way out', () => {
  for (const [text, message, hint] of refused) assert.equal(refusalOf(text), [message, hint], text);
});

test('the ways out are ways: one stage of each kind', () => {
  for (const text of [
    '{ x="it\'s"; a "${y:-$x}"; } | b',
    '(a && b) | c',
    '(a || b) | c',
    '(a; b) | c',
    '{ f() { a; }; f; } | b',
    '{ coproc a; b; } | c',
    '@b X=1 c | d',
    '! @a b | c',
  ])
    assert.is(splitPipeline(text).stages.length, 2, text);
  for (const text of ['\\time a', '\\@ b', 'a "("']) assert.is(splitPipeline(text).stages.length, 1, text);
});

test('64 stages, and 65,536 bytes for each with the JSON around', () => {
  const many = (count: number, stage: string): string => Array.from({ length: count }, () => stage).join('|');
  const tooMany = ['more than 64 stages', "let one stage have several commands: dpipes '(a | b) | c'"];
  for (const stage of ['a', '@a', '@a b', '@a { b; }']) {
    assert.is(splitPipeline(many(64, stage)).stages.length, 64, stage);
    assert.equal(refusalOf(many(65, stage)), tooMany, stage);
  }
  // What is no simple command is sent once, the words of one that is are sent beside it.
  const longest = `(${'a'.repeat(64_496)})`;
  assert.equal(textsOf(`${longest} | ${longest}`), [longest, longest]);
  const tooLong = ['stage 2 is longer than 64512 bytes of JSON', 'put what is long into a file on the node'];
  assert.equal(refusalOf(`b | ${longest}a`.replace(/\)a$/, 'a)')), tooLong);
  assert.equal(refusalOf(`b | (${'"'.repeat(50_000)})`), tooLong);
  assert.equal(refusalOf(`b | ${'a'.repeat(40_000)}`), tooLong);
});

test('generated pipelines have the stages that are known, and sh reads each and all', () =>
  withSandbox(async ({ dir, run }) => {
    const count = rounds(600, 10_000);
    const random = randomNumbers(4);
    const script = ["trap 'echo $n' EXIT\n"];
    const checked: string[] = [];
    const check = (text: string): void => {
      // What sh cannot read ends it here; each text is read by itself, and none is run.
      script.push(`n=${checked.push(text) - 1}; eval ${quoted(`f() {\n${text}\n}`)}\n`);
    };
    for (let round = 0; round < count; round++) {
      const { text, stages } = knownPipeline(random);
      assert.equal(textsOf(text), stages, text);
      for (const stage of stages) assert.equal(textsOf(stage), [stage], text);
      [text, ...stages].forEach(check);
    }
    writeFileSync(join(dir, 'all.sh'), `${script.join('')}n=all\n`);
    const { stdout, stderr } = await run('sh', ['all.sh']);
    assert.is(stdout.toString(), 'all\n', `${stderr}\n${checked[Number(stdout)]}`);
  }));

const pieces = [
  'a·b · c·|· | ·|&· ·\n·\t·"·\'·`·$(·)·(·{ ·; }·;·&&·||·&·#·' +
    '\\·$·${·${x#|}·}·<<A·<<-A\n·\nA\n·> f·2>&1·>|·case x in a|b) c;; esac·if · then · fi',
  'for i in · do · done·! ·@n ·@s·[[ · ]]·$((·((·))·é·𝒳·*·~·=·X=1 ·\\\n·<(·f() ',
  "time ·$'·esac·\0·\ud800·\r·\u2028·@(·<<<",
].flatMap((line) => line.split('·'));

test('any text is split or refused, and a stage by itself is that stage', () => {
  const random = randomNumbers(5);
  let accepted = 0;
  for (let round = 0; round < rounds(5000, 200_000); round++) {
    const text = Array.from({ length: 1 + random(10) }, () => pieces[random(pieces.length)]).join('');
    let stages: readonly Stage[];
    try {
      stages = splitPipeline(text).stages;
    } catch (error) {
      assert.instance(error, PipelineError, JSON.stringify(text));
      continue;
    }
    accepted++;
    for (const stage of stages) {
      if (stage.where?.kind === 'service') continue;
      // Only before a whole pipeline is `time` a word of bash.
      if (stage.name !== 'time') assert.equal(textsOf(stage.text), [stage.text], JSON.stringify(text));
    }
  }
  assert.ok(accepted > 200, String(accepted));
});

test('what is nested without end is refused or read', () => {
  for (const piece of [
    '(',
    '{ ',
    '$(',
    '`',
    '"$(',
    '${x:-',
    'if a; then ',
    'case a in a) ',
    '[[ ( ',
    '! ',
    '$((1+',
    '@(a|',
    '@a { ',
    '<(',
    '{a,',
  ]) {
    const text = `a ${piece.repeat(3000)}`;
    for (const one of [text, text.slice(2), `echo $((${piece.repeat(3000)}`]) {
      try {
        splitPipeline(one);
      } catch (error) {
        assert.instance(error, PipelineError, piece);
      }
    }
  }
});

test.run();
