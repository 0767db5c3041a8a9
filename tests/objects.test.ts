// Metadata in streams of objects: what is put in and taken out, cut at every byte, and no other byte changed; and pipelines of programs
// that read it.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { JsonSplice } from '@dipus/objects/json';
import { YamlSplice } from '@dipus/objects/yaml';
import { ObjectError, type Splice, type SpliceOptions } from '@dipus/objects/splice';
import { rounds, suite, withSandbox, type Ended, type Sandbox } from './harness.ts';

const test = suite('objects');

const M = '{"dp.addr":"a","dp.port":1}';
const N = `"__dpipes":${M}`;

const usual: SpliceOptions = {
  name: '__dpipes',
  roots: 'pass',
  wrappedKey: 'dp.wrapped',
  validates: false,
  maxBytes: 1 << 20,
  warn: () => {},
};
const putting: SpliceOptions = { ...usual, metadata: M };

function through(splice: Splice, pieces: readonly Buffer[]): string {
  const out = pieces.flatMap((piece) => [...splice.push(piece)]);
  return Buffer.concat([...out, ...splice.end()]).toString('latin1');
}

/** What becomes of a text: whole, in two pieces however it is cut, and byte by byte. */
function spliced(text: string, options: SpliceOptions, Kind: typeof JsonSplice | typeof YamlSplice = JsonSplice): string {
  const bytes = Buffer.from(text);
  const whole = through(new Kind(options), [bytes]);
  for (let at = 0; at <= bytes.length; at++) {
    const cut = through(new Kind(options), [bytes.subarray(0, at), bytes.subarray(at)]);
    assert.is(cut, whole, `${text}, cut at ${at}`);
  }
  const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
  assert.is(through(new Kind(options), single), whole, `${text}, byte by byte`);
  return Buffer.from(whole, 'latin1').toString();
}

function fault(text: string, options: SpliceOptions, Kind?: typeof JsonSplice | typeof YamlSplice): string {
  let message = '';
  try {
    spliced(text, options, Kind);
  } catch (error) {
    if (!(error instanceof ObjectError)) throw error;
    ({ message } = error);
  }
  return message;
}

// What is in an object besides its metadata.
const members = [
  '{}',
  '{ }',
  '{"a":1}',
  ' { "a" : 1 } ',
  '{"a":12345678901234567890,"b":2.370,"c":1e400,"d":-0}',
  '{"10":1,"2":2,"a":1,"a":2}',
  '{"a":"\\u00e9\\/\\"","ü":"ü\\\\"}',
  '{\n  "a": {\n    "__dpipes": 1\n  },\n  "b": ["}", "{", "]"]\n}\n',
  '{"a":{}}{"b":[]}\n\n{"c":"}"}',
  '{"a":[{"__dpipes":{}},"__dpipes"],"__dpipes2":1,"\\\\":"\\\\\\\\"}',
  '{"":"","a":[[[[{"x":[]}]]]]}',
  `{"long":"${'x'.repeat(100)}\\"${'\\\\'.repeat(60)}","more":[1,2,3]}`,
  '{"a":true,\r\n\t"b":null}',
  '1 2"x"[{"a":1}]true{"a":1}null[]-0.5e+3{}',
];

test('metadata is put in and taken out again, and nothing else is changed', () => {
  for (const text of members) {
    const put = spliced(text, putting);
    assert.is(spliced(put, usual), text);
    assert.is(spliced(put, putting), put, 'what is there already is replaced');
    assert.is(spliced(text, usual), text);
    for (const options of [putting, usual]) assert.is(spliced(text, { ...options, validates: true }), spliced(text, options));
  }
  const rows: [string, string][] = [
    ['{}', `{${N}}`],
    ['{ "a":1}', `{${N}, "a":1}`],
    ['{"a":1,"__dpipes":{"x":"}"}}', `{${N},"a":1}`],
    ['{"__dpipes" : [1,{"a":","}] , "a":1}', `{${N}, "a":1}`],
    ['{"a":1 , "__dpipes":2 , "b":3}', `{${N},"a":1 , "b":3}`],
    ['{"_\\u005fdpipes":1,"__dpipes":2}', `{${N}}`],
    ['[1]{"a":1}', `[1]{${N},"a":1}`],
  ];
  for (const [text, put] of rows) assert.is(spliced(text, putting), put);
  const taken: [string, string][] = [
    ['{"a":1,"__dpipes":{}}', '{"a":1}'],
    ['{\n  "__dpipes": {\n    "x": 1\n  },\n  "a": 1\n}\n', '{\n  "a": 1\n}\n'],
    ['{\n  "a": 1,\n  "__dpipes": {}\n}\n', '{\n  "a": 1\n}\n'],
    ['{\n  "a": 1,\n  "__dpipes": {},\n  "b": 2\n}', '{\n  "a": 1,\n  "b": 2\n}'],
    ['{"__dpipes":1}', '{}'],
    ['{"__dpipes":"a b  " }', '{ }'],
    ['{"__dpipes":1,"__dpipes":2,"a":3}', '{"a":3}'],
  ];
  for (const [text, left] of taken) assert.is(spliced(text, usual), left);
  assert.is(spliced('{"m":1,"__dpipes":2}', { ...usual, name: 'm' }), '{"__dpipes":2}');
  assert.is(spliced('{"\\"":1,"a":2}', { ...usual, name: '"' }), '{"a":2}');
});

test('roots that are no objects stay, are wrapped, or are refused', () => {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  assert.is(through(new JsonSplice({ ...putting, warn }), [Buffer.from('{}1 2')]), `{${N}}1 2`);
  assert.equal(warnings, ['object 2 is none, and has no metadata']);
  const wrap = { roots: 'wrap' } as const;
  const wrapped = (value: string): string => `{"__dpipes":{"dp.wrapped":true,${M.slice(1)},"value":${value}}`;
  for (const value of ['[1, 2]', '"x"', '1.0', 'null', '[{"__dpipes":1}]']) {
    const put = spliced(value, { ...putting, ...wrap });
    assert.is(put, wrapped(value));
    assert.is(spliced(put, { ...putting, ...wrap }), put);
    assert.is(spliced(put, { ...usual, ...wrap }), value);
    const pretty = JSON.stringify(JSON.parse(put), undefined, 2);
    assert.is(JSON.stringify(JSON.parse(spliced(pretty, { ...usual, ...wrap }))), JSON.stringify(JSON.parse(value)));
    assert.is(spliced(put.replace('{', '{"a":1,'), { ...usual, ...wrap }), `{"a":1,"value":${value}}`);
  }
  // Nobody has wrapped this one.
  const own = spliced('{"value":5}', { ...putting, ...wrap });
  assert.is(own, `{${N},"value":5}`);
  assert.is(spliced(own, { ...usual, ...wrap }), '{"value":5}');
  assert.is(fault('{} [1]', { ...putting, roots: 'refuse' }), 'object 2, byte 4: it is no object');
});

test('what is no object is told with its number and byte', () => {
  const rows: [string, string][] = [
    ['{"a":1}{"a"', 'object 2, byte 8: it has no end'],
    ['{"a":1', 'object 1, byte 1: it has no end'],
    ['"x', 'object 1, byte 1: it has no end'],
    ['{}\n[1,', 'object 2, byte 4: it has no end'],
    ['hello', 'object 1, byte 1: "hello" is not JSON'],
    ['{} tru', 'object 2, byte 4: "tru" is not JSON'],
    ['01', 'object 1, byte 1: "01" is not JSON'],
    ['{}}', 'object 2, byte 3: } begins no value'],
    ['1,2', 'object 2, byte 2: , begins no value'],
    ['\u0001', 'object 1, byte 1: byte 0x01 begins no value'],
    ['\ufeff{}', 'object 1, byte 1: it begins with a byte order mark'],
    ['{a:1}', 'object 1, byte 2: a begins no name'],
    ['{"a":1,}', 'object 1, byte 8: } begins no name'],
    ['{"a" 1}', 'object 1, byte 6: 1 is no colon behind a name'],
    ['{"a":[1}', 'object 1, byte 8: } closes nothing'],
    ['{"a":1]', 'object 1, byte 7: ] closes nothing'],
  ];
  for (const [text, message] of rows) for (const options of [putting, usual]) assert.is(fault(text, options), message);
  const long = `{}{"a":"${'x'.repeat(100)}"}`;
  for (const options of [putting, { ...usual, validates: true }])
    assert.is(fault(long, { ...options, maxBytes: 100 }), 'object 2, byte 3: it is larger than 100 bytes');
  assert.is(spliced(long, { ...usual, maxBytes: 108 }), long);
  assert.match(fault('{}{"a":tru}', { ...putting, validates: true }), /^object 2, byte 3: it is not JSON: /);
  const latin = Buffer.from('{"a":"\xff"}', 'latin1');
  assert.throws(() => through(new JsonSplice({ ...usual, validates: true }), [latin]), /^object 1, byte 1: it is not UTF-8$/);
  assert.is(through(new JsonSplice(usual), [latin]), latin.toString('latin1'));
});

// Each document is an object.
const documents = [
  'a: 1\n',
  'a: 1',
  '---\na: 1\nb: [1, 2]\n---\nc: 2\n...\n',
  '# first\n\na: 1 # one\n# last\n',
  '%YAML 1.2\n---\na: 1\n...\n%YAML 1.2\n---\nb: 2\n',
  '--- &x\na: &y {b: 1}\nc: *y\n',
  '--- !!map\na: 1\n',
  'base: &b {x: 1}\nown:\n  <<: *b\n  y: 2\n',
  'a: 1\r\nb: |\r\n  text\r\n  more\r\nc: 2\r\n',
  '? [1, 2]\n: a\n? b\n: c\n',
  '{a: 1, b: {c: "}"}, d: it\'s, "e":2}\n',
  '{}\n--- {}\n--- { }\n',
  '--- {a: 1,\n  b: [2, # ]\n  3]}\n--- {"a":\n1}\n',
  '  a: 1\n  b:\n  - 2\n  - 3\n',
  'a: 1\na: 2\n',
  'n: 12345678901234567890\nf: 2.370\no: 0o17\nt: 012\nd: 2026-11-26\n',
  '"quoted": 1\n\'single\': 2\n"with: colon": 3\n',
  '? |\n  block\n: 1\n',
  'text: >-\n  __dpipes: 1\n\n  more\nlist:\n- a: __dpipes\n  b: 2\n- - x\n  - |\n    y: z\n',
  "plain: first\n  \"second\n  third\nend: 'a\n  b'\n",
  'q: "a\n  __dpipes: {\n  b"\nf: [\n__dpipes, {x: 1}\n]\nlast: 1\n',
  'ü: "é"\n&k key: !!str 5\n*k : 6\n',
  'http://x: {y: http://z}\na:b: c#d\n',
  '---\n---\na:\n...\n# nothing\n',
];

test('documents of YAML get their metadata, and lose it again, without another byte being changed', async () => {
  const pairs: [string, string][] = [];
  const yaml = (text: string, options: SpliceOptions): string => spliced(text, options, YamlSplice);
  for (const text of documents) {
    const put = yaml(text, putting);
    pairs.push([text, put]);
    assert.is(yaml(put, usual), text, put);
    assert.is(yaml(put, putting), put);
    assert.is(yaml(text, usual), text);
  }
  const member = `__dpipes: ${M}`;
  const rows: [string, string][] = [
    ['a: 1\n__dpipes:\n  dp.addr: x\n  more: |\n    y\nb: 2\n', `${member}\na: 1\nb: 2\n`],
    ['a: 1\n"__dpipes":\n- 1\n\n- 2\n# b\nb: 2\n', `${member}\na: 1\n# b\nb: 2\n`],
    ['? __dpipes\n: 1\na: 2\n', `${member}\na: 2\n`],
    ['a: 1\n"\\x5f_dpipes": 2\n', `${member}\na: 1\n`],
    ['{a: 1, __dpipes: {x: [1, 2]}, b: 2}', `{${member},a: 1, b: 2}`],
    ["{a: 1, '__dpipes': 2}", `{${member},a: 1}`],
    ['{__dpipes: 2}', `{${member}}`],
    ['--- {"a":{"__dpipes":1}}\n', `--- {${member},"a":{"__dpipes":1}}\n`],
  ];
  for (const [text, put] of rows) {
    assert.is(yaml(text, putting), put);
    pairs.push([text, put]);
  }
  assert.is(yaml('__dpipes:\n  a: 1\n', usual), '{}\n');
  assert.is(yaml('{__dpipes: 2, a: 1}', usual), '{ a: 1}');
  assert.is(yaml('- 1\n--- text\n--- |\n a: 1\n', putting), '- 1\n--- text\n--- |\n a: 1\n');
  assert.is(yaml('a: 1\n', { ...putting, name: '1 é', metadata: '{"x":"\u2028"}' }), '"1 é": {"x":"\\u2028"}\na: 1\n');
  const faults: [string, SpliceOptions, string][] = [
    ['a: 1\n--- {a: [1, 2}\n', putting, 'object 2, byte 10: it has no end'],
    ['a: 1\n--- {"a": "\n', usual, 'object 2, byte 10: it has no end'],
    ['a: 1\n---\n- 1\n', { ...putting, roots: 'refuse' }, 'object 2, byte 6: it is no object'],
    ['a: 1\n---\n@x\n', putting, 'object 2, byte 10: @ begins no value'],
    ['a: 1\n---\nb: 2\n', { ...putting, maxBytes: 8 }, 'object 2, byte 6: it is larger than 8 bytes'],
    ['\ufeffa: 1\n', putting, 'object 1, byte 1: it begins with a byte order mark'],
  ];
  for (const [text, options, message] of faults) assert.is(fault(text, options, YamlSplice), message);
  // What another program reads in them.
  const script = `import sys, json, yaml
class Any(yaml.BaseLoader): pass
Any.add_constructor('tag:yaml.org,2002:merge', lambda loader, node: '<<')
def read(text):
    return [loader_value(node) for node in yaml.compose_all(text, Loader=Any)]
def loader_value(node, name=None):
    if isinstance(node, yaml.ScalarNode): return [node.tag, node.value]
    if isinstance(node, yaml.SequenceNode): return [loader_value(one) for one in node.value]
    return {"members": [[loader_value(k), loader_value(v)] for k, v in node.value]}
def without(doc):
    if not isinstance(doc, dict): return doc
    return {"members": [m for m in doc["members"] if m[0][-1:] != ["__dpipes"]]}
for text, put in json.load(sys.stdin):
    before, after = [without(d) for d in read(text)], read(put)
    for b, a in zip(before, after):
        if isinstance(b, dict): assert a["members"][0][0][1] == "__dpipes" and len(a["members"]) == len(b["members"]) + 1, put
    assert before == [without(d) for d in after], put
print("same")`;
  await withSandbox(async (sandbox) => {
    const { stdout, stderr } = await sandbox.run('python3', ['-c', script], JSON.stringify(pairs));
    assert.is(stdout.toString(), 'same\n', stderr);
  });
});

test('random bytes are passed on, or are no objects', () => {
  const words = [
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '\\',
    ':',
    ': ',
    ',',
    '\n',
    ' ',
    '__dpipes',
    '"__dpipes"',
    '1',
    'null',
    '- ',
    '? ',
    '---\n',
    '...\n',
  ];
  const more = ['|', '#', '&a ', '!t ', '*a', '\r\n', 'é', '%', '{}', 'a: ', '\t'];
  const all = [...words, ...more];
  for (let round = 0; round < rounds(1_500, 200_000); round++) {
    const text = Array.from(randomBytes(round % 24), (byte) => all[byte % all.length]).join('');
    for (const Kind of [JsonSplice, YamlSplice]) {
      for (const options of [putting, usual]) {
        const bytes = Buffer.from(text);
        const pieces = [bytes.subarray(0, round % 7), bytes.subarray(round % 7)];
        try {
          through(new Kind(options), pieces);
        } catch (error) {
          assert.instance(error, ObjectError, `${JSON.stringify(text)}: ${String(error)}`);
        }
      }
    }
  }
});

const json = (sandbox: Sandbox, args: readonly string[], input: string | Buffer): Promise<Ended> =>
  sandbox.run('dpipes', ['-F', 'json', ...args], input);

function said({ stdout, stderr, status }: Ended): [string, string, number] {
  return [stdout.toString(), stderr, status];
}

/** A program of each kind that hands on what it reads. */
const programs = [
  'jq -c .',
  `python3 -c 'import sys, json\nfor line in sys.stdin: print(json.dumps(json.loads(line), separators=(",", ":")))'`.replace('\\n', '\n'),
  `node -e 'require("readline").createInterface(process.stdin).on("line", (line) => console.log(JSON.stringify(JSON.parse(line))))'`,
  'cat',
];

test('programs of a pipeline see where their objects come from, and the end of it sees nothing of that', async () => {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    await sandbox.start('dpipesd').line();
    await sandbox.start('dserve', ['jq -c "select(.__dpipes)"', 'some']).line();
    const text = '{"a":1,"b":[true,null]}\n{"c":"\\"}"}\n';
    assert.equal(said(await json(sandbox, [`${programs.join(' | ')} | @some`], text)), [text, '', 0]);
    const numbers = '{"n":12345678901234567890,"m":1.0}{"m":1e400}\n\n{ }';
    assert.equal(said(await json(sandbox, ['cat | tee /dev/null'], numbers)), [numbers, '', 0]);
    const own = '{"__dpipes":{"dp.addr":"somewhere"},"a":1}\n';
    assert.equal(said(await json(sandbox, ['jq -c .__dpipes'], own)), ['{"dp.addr":"box","dp.port":null,"dp.service":"dpipesd"}\n', '', 0]);
    const all = ['-O', 'metadata=argv,environ credential', '-O', 'metadata-name=_m', '-O', 'metadata-prefix=x-', '-O', 'env:FOO=bar'];
    const [seen, , status] = said(await json(sandbox, [...all, `jq -c '._m | .["x-environ"] |= .FOO'`], '{}'));
    const me = (await sandbox.run('id', ['-un'])).stdout.toString().trim();
    assert.is(status, 0);
    assert.equal(JSON.parse(seen), {
      'x-addr': 'box',
      'x-port': null,
      'x-service': 'dpipesd',
      'x-credential': { user: me, by: 'unix' },
      'x-environ': 'bar',
      'x-argv': ['/bin/sh', '-c', `jq -c '._m | .["x-environ"] |= .FOO'`],
    });
    const kept = await json(sandbox, ['-O', 'metadata-out=keep', 'cat | @some'], '{"a":1}\n');
    assert.equal(said(kept), ['{"__dpipes":{"dp.addr":"box","dp.port":null,"dp.service":"some"},"a":1}\n', '', 0]);
    const names = ['ADDR', 'SERVICE', 'STAGE', 'STAGES', 'HOST', 'CLIENT', 'USER', 'CREDENTIAL'];
    const told = await sandbox.run('dpipes', [`echo ${names.map((name) => `$DPIPES_${name}`).join(' ')} \${DPIPES_PORT-none}`], '');
    assert.equal(said(told), [`box dpipesd 1 1 box box ${me} {"user":"${me}","by":"unix"} none\n`, '', 0]);
    const groups = (await sandbox.run('id', ['-Gn'])).stdout.toString();
    assert.equal(said(await sandbox.run('dpipes', ['-n', 'echo $DPIPES_GROUPS'])), [groups, '', 0]);
    const [line, count] = [`{"text":"${'x'.repeat(300)}","n":[1,2,3]}\n`, rounds(5_000, 1_000_000)];
    const much = await json(sandbox, ['cat | cat'], line.repeat(count));
    assert.ok(much.stdout.toString() === line.repeat(count), much.stderr);
    assert.not(existsSync(`${dir}/committed`));
  });
}, 120_000);

test('programs that read YAML see the same', async () => {
  await withSandbox(async (sandbox) => {
    await sandbox.start('dpipesd').line();
    await sandbox.start('dserve', ['cat', 'plain']).line();
    const yaml = (args: readonly string[], input: string): Promise<Ended> => sandbox.run('dpipes', ['-F', 'yaml', ...args], input);
    const dump = 'import sys, yaml; yaml.safe_dump_all(yaml.safe_load_all(sys.stdin), sys.stdout)';
    const text = 'a: 1 # one\n---\n{b: [x, y]}\n';
    assert.equal(said(await yaml(['cat | @plain'], text)), [text, '', 0]);
    const ended = await yaml([`yq -y '.from = .__dpipes["dp.addr"]' | python3 -c '${dump}'`], text);
    assert.equal(said(ended), ['a: 1\nfrom: box\n---\nb:\n- x\n- y\nfrom: box\n', '', 0]);
    const refused = await yaml(['-O', 'roots=wrap', 'cat'], text);
    assert.equal([refused.status, /option roots: no YAML is wrapped\n/.test(refused.stderr)], [126, true]);
    const cut = await yaml(['cat'], 'a: 1\n--- {b: [x\n');
    assert.equal(said(cut), ['', 'dpipes: cannot finish stage 1, cat: its input: object 2, byte 10: it has no end\n', 125]);
  });
}, 120_000);

test('over two hosts, a stage is told the address by which its client reaches the one in front of it', async () => {
  await withSandbox(async (sandbox) => {
    const nodes = ['a', 'b'].map(async (name) => {
      const env = { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/${name}`, DIPUS_HOST: name };
      await sandbox.start('dpipesd', ['-x', '--any-command', '--metadata-name', 'from', '--metadata-prefix', 'x.'], { env }).line();
      return sandbox.start('dexport', ['--user', 'root', '-l', '127.0.0.1:0', '--no-announce'], { env }).line();
    });
    const uris = await Promise.all(nodes);
    const from = `jq -c '.seen += [.from["x.addr", "x.port"]]'`;
    const ended = await json(sandbox, [...uris.flatMap((uri) => ['-N', uri]), `@a ${from} | @b ${from}`], '{"seen":[]}');
    const { seen } = JSON.parse(ended.stdout.toString()) as { seen: [string, number, string, number] };
    const { hostname, port } = new URL(uris[0]!.replace('sep:', 'http:'));
    assert.equal([seen[0], seen[2], seen[3]], ['127.0.0.1', hostname, Number(port)], ended.stderr);
    assert.ok(seen[1] > 1023, 'its own end of the connection');
    const told = await sandbox.run('dpipes', [...uris.flatMap((uri) => ['-N', uri]), '@a cat | @b echo $DPIPES_ADDR:$DPIPES_PORT'], '');
    assert.is(told.stdout.toString(), `${hostname}:${port}\n`, told.stderr);
    const credential = await json(
      sandbox,
      ['-N', uris[0]!, '-O', 'metadata=credential', '-O', 'metadata-name=__dpipes', `jq -c '.__dpipes["x.credential"]'`],
      '{}',
    );
    assert.is(credential.stdout.toString(), '{"user":null,"by":"none"}\n');
  });
}, 120_000);

test('what is cut, is no object or is too large ends the pipeline, and nothing is committed behind it', async () => {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    await sandbox.start('dpipesd').line();
    await sandbox.start('dserve', ['cat', 'plain']).line();
    const commit = `(cat > ${dir}/part; touch ${dir}/committed)`;
    const input = 'dpipes: cannot finish stage 1, cat: its input: ';
    const rows: [string[], string, string][] = [
      [[`cat | ${commit}`], '{"a":1}\n{"a"', `${input}object 2, byte 9: it has no end\n`],
      [
        ['-O', 'max-object=1000', `cat | ${commit}`],
        `{}{"a":"${'x'.repeat(1000)}`,
        `${input}object 2, byte 3: it is larger than 1000 bytes\n`,
      ],
      [['-O', 'roots=refuse', `cat | ${commit}`], '{} 5 ', `${input}object 2, byte 4: it is no object\n`],
      [[`(cat; echo '{"a') | ${commit}`], '{"b":1}', 'stage 2: its input: object 2, byte '],
      [['@plain | head -c 20'], '{"b":"0123456789"}', ': its output: object 1, byte 1: it has no end\n'],
    ];
    for (const [args, text, stderr] of rows) {
      const ended = await json(sandbox, args, text);
      assert.ok(ended.stderr.includes(stderr), `${args.join(' ')}: ${ended.stderr}`);
      assert.equal([ended.status, existsSync(`${dir}/committed`)], [125, false], ended.stderr);
    }
    const warned = await json(sandbox, ['jq -c . | cat'], '1\n2\n{}\n');
    assert.is(warned.stdout.toString(), '1\n2\n{}\n');
    assert.is(warned.stderr.match(/dpipes: stage \d: its input: object 1 is none, and has no metadata\n/g)?.length, 2, warned.stderr);
    const counted = `jq -c '.__dpipes["dp.addr"], keys'`;
    assert.equal(said(await json(sandbox, ['-O', 'roots=wrap', counted], '[1]')), ['"box"\n["__dpipes","value"]\n', '', 0]);
    assert.equal(said(await json(sandbox, ['-O', 'roots=wrap', 'jq . | cat | @plain'], '[1] 2.50 ')), ['[\n    1\n  ]\n2.5\n', '', 0]);
    const refused = await json(sandbox, ['-O', 'roots=x', 'cat'], '{}');
    assert.match(refused.stderr, /option roots: "x" is not one of pass, wrap, refuse\n/);
    assert.is(refused.status, 126);
    const usage = await sandbox.run('dpipes', ['-F', 'xml', 'cat']);
    assert.equal([usage.status, usage.stderr.split('\n')[0]], [125, 'dpipes: -F xml is not json or yaml']);
  });
}, 120_000);

test.run();
