// The files of settings that dpipes and dpipesd read: what their lines mean, which of them counts, and whose files are believed.
import { formatConfigLine, parseConfigLines } from '@dipus/cli/config-lines';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { suite, withSandbox, type Ended, type Sandbox } from './harness.ts';
import { isRoot, mallory } from './users.ts';

const test = suite('dpipesd.conf');

test('a line is a long option with its value', () => {
  const lines: [string, string, string?][] = [
    ['plain', 'plain'],
    ['  plain  # why', 'plain'],
    ['max 4', 'max', '4'],
    ['max=4', 'max', '4'],
    ['max = 4 # of them', 'max', '4'],
    ['app sort args=any version=9.1', 'app', 'sort args=any version=9.1'],
    ['app count command="wc -l" args=none', 'app', 'count command="wc -l" args=none'],
    ['log /var/log/a#b', 'log', '/var/log/a#b'],
    ['app "a \\"b\\" \\\\ # c\\nd" # e', 'app', 'a "b" \\ # c\nd'],
    ['node "!"', 'node', '!'],
    ['max 4\r', 'max', '4'],
  ];
  for (const [text, name, value] of lines) {
    const parsed = parseConfigLines(`# first\n\n${text}\n`, 'FILE');
    assert.equal(parsed, [{ line: 3, name, isReset: false, ...(value !== undefined && { value }) }], text);
    const again = parseConfigLines(formatConfigLine(name, value), 'FILE')[0]!;
    assert.equal([again.name, again.value, again.isReset], [name, value, false], text);
  }
  assert.equal(parseConfigLines('node !', 'FILE'), [{ line: 1, name: 'node', isReset: true }]);
  for (const text of ['--plain', 'Plain', '-x', 'a.b 1', 'app "a', 'app "a" b', 'app ""', '=', 'max:4']) {
    assert.throws(() => parseConfigLines(`\n${text}`, 'FILE'), /^FILE:2: /, text);
  }
});

/** What dpipesd says is set, a line each. */
async function settings(sandbox: Sandbox, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<[string, string, number]> {
  const ended = await sandbox.run('dpipesd', ['--check-config', ...args], '', { env: { ...sandbox.env, HOME: sandbox.dir, ...env } });
  return [ended.stdout.toString().replaceAll(sandbox.dir, '~'), ended.stderr.replaceAll(sandbox.dir, '~'), ended.status];
}

test('the command line counts more than the file of the environment, and that more than the one at home; lists add up', async () => {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    writeFileSync(`${dir}/.dpipesdrc`, 'max 4\ngrace 7\nnode a\ntag\napp sort args=any\napp date\ninclude more\n');
    writeFileSync(`${dir}/more`, 'verbose\n');
    writeFileSync(`${dir}/named`, 'max 5\napp !\napp wc\n');
    const env = { DPIPES_CONFIG: `${dir}/named` };
    assert.equal(await settings(sandbox, ['--grace', '9', '-x'], env), [
      'node a\t# ~/.dpipesdrc:3\nverbose\t# ~/more:1\nmax 5\t# ~/named:1\napp wc\t# ~/named:3\n' +
        'export\t# command line\ngrace 9\t# command line\n',
      '',
      0,
    ]);
    // Alone, and what it prints is such a file again.
    const printed = await settings(sandbox, ['-f', 'more', '--app', 'sort args=any'], env);
    assert.equal(printed, ['verbose\t# ~/more:1\napp sort args=any\t# command line\n', '', 0]);
    writeFileSync(`${dir}/again`, printed[0]);
    assert.match((await settings(sandbox, ['-f', 'again']))[0], /^verbose\t.*\napp sort args=any\t.*\n$/);
    assert.equal(await settings(sandbox, ['-f', '/dev/null'], env), ['', '', 0]);
  });
});

test('what is wrong in a file is told with its line, by both commands', async () => {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    const wrong: [string, string][] = [
      ['nod a', 'unknown option nod'],
      ['help', 'unknown option help'],
      ['check-config', 'unknown option check-config'],
      ['exit', 'unknown option exit'],
      ['plan', 'unknown option plan'],
      ['include', 'include needs a file'],
      ['include file', 'too many files include each other'],
      ['max', 'max needs a value'],
      ['verbose yes', 'verbose takes no value'],
    ];
    const both = (args: string[]): Promise<Ended[]> =>
      Promise.all([sandbox.run('dpipes', [...args, 'true']), sandbox.run('dpipesd', [...args, '--check-config'])]);
    for (const [text, reason] of wrong) {
      writeFileSync(`${dir}/file`, `\n${text}\n`);
      assert.match((await settings(sandbox, ['-f', 'file']))[1], new RegExp(`^dpipesd: ~/file:2: ${reason}\n`));
    }
    for (const ended of await both(['-f', 'file'])) assert.match(ended.stderr, /^dpipesd?: .*\/file:2: verbose takes no value\n/);
    writeFileSync(`${dir}/file`, 'max 3\nmax 4\n');
    assert.match((await settings(sandbox, ['-f', 'file']))[1], /^dpipesd: ~\/file:2: max is given more than once\n/);
    for (const ended of await both(['-f', 'missing'])) assert.match(ended.stderr, /: cannot read .*\/missing: no such file or directory\n/);
    chmodSync(`${dir}/file`, 0o664);
    const refusal = /: cannot use .*\/file: others may write to it\n.*: hint: chmod go-w /;
    for (const ended of await both(['-f', 'file'])) assert.match(ended.stderr, refusal);
  });
});

const notOurs = 'a file that belongs to somebody else is not read';
if (isRoot)
  test(notOurs, () =>
    withSandbox(async (sandbox) => {
      writeFileSync(`${sandbox.dir}/file`, 'max 3\n', { mode: 0o644 });
      chownSync(`${sandbox.dir}/file`, mallory, mallory);
      for (const tool of ['dpipes', 'dpipesd']) {
        const { stderr } = await sandbox.run(tool, ['-f', 'file', ...(tool === 'dpipes' ? ['true'] : ['--check-config'])]);
        assert.match(stderr, /: it belongs to neither this user nor root\n/);
      }
    }),
  );
else test.skip(notOurs, 'only root can give a file to another user');

test('each command passes over the options of the other, and takes all its own', async () => {
  await withSandbox(async (sandbox) => {
    const { dir } = sandbox;
    const once = ['help', 'version', 'file', 'check-config', 'exit', 'plan', 'check', 'status'];
    const values: Record<string, string> = {
      mode: '600',
      app: 'sort',
      node: 'a',
      registry: 'etcd://h',
      user: 'root',
      'link-ports': '1-2',
      option: 'nice=1',
      need: 'user=a',
      'accept-option': 'nice',
    };
    for (const own of ['dpipes', 'dpipesd']) {
      const help = (await sandbox.run(own, ['--help'])).stdout.toString();
      const options = [...help.matchAll(/--([a-z][a-z-]*) {2,}.*\[(boolean|string|array)\]$/gm)].filter(
        ([, name]) => !once.includes(name!),
      );
      assert.ok(options.length > 4);
      const lines = options.map(([, name, type]) => (type === 'boolean' ? name! : `${name} ${values[name!] ?? '1'}`));
      writeFileSync(`${dir}/file`, lines.join('\n'));
      assert.is((await sandbox.run('dpipesd', ['-f', 'file', '--check-config'])).stderr, '');
      assert.match((await sandbox.run('dpipes', ['-f', 'file', 'a && b'])).stderr, /^dpipes: (?:PIPELINE: |-e does not go with --sh)/);
    }
  });
});

test.run();
