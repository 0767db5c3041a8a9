// The command line as every command reads it.
import { splitWords, type OptionTable } from '@dipus/cli/words';
import { existsSync, readdirSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { suite, withSandbox } from './harness.ts';

const test = suite('options');

const commands = readdirSync('packages').filter((name) => existsSync(`packages/${name}/src/cli.ts`));

function ownFailure(command: string): number {
  return ['dcat', 'dpipes', 'socketpipe'].includes(command) ? 125 : 2;
}

/** The options of a command as its help has them: all names, and whether a value follows. */
function optionsOf(help: string): { names: string[]; hasValue: boolean }[] {
  return [...help.matchAll(/^ +(-\S.*?) {2,}.*\[(boolean|string|array)\]$/gm)].map(([, names, type]) => ({
    names: names!.split(', '),
    hasValue: type !== 'boolean',
  }));
}

const table: OptionTable = {
  all: { short: 'a', describe: '' },
  first: { short: '1', describe: '' },
  mode: { short: 'm', value: 'MODE', describe: '' },
  listen: { short: 'l', value: 'ADDR', isRepeatable: true, describe: '' },
};

test('a command line is read as getopt_long would read it', () => {
  const lines: [string[], string, string[]?][] = [
    [['-a', 'x', '--all'], 'all all', ['x']],
    [['-a1mx', 'y'], 'all first mode=x', ['y']],
    [['-m', 'x', '-l', 'a', '-lb', '--listen=c'], 'mode=x listen=a listen=b listen=c'],
    [['--mode=a=b', '--', '-a', '--', '-'], 'mode=a=b', ['-a', '--', '-']],
    [['-', '-m', '-'], 'mode=-', ['-']],
    [['-m=x'], 'mode==x'],
    [['--mode', 'true', '-a', 'true'], 'mode=true all', ['true']],
  ];
  for (const [argv, expected, operands = []] of lines) {
    const words = splitWords(table, argv);
    assert.is(words.options.map(({ name, value }) => name + (value === undefined ? '' : `=${value}`)).join(' '), expected);
    assert.equal(words.operands, operands);
  }
});

test('what is not in the table, and a value that is missing, empty or too many, is refused', () => {
  const unknown = [
    '-_',
    '-_=x',
    '--_=x',
    '--$0',
    '-5',
    '-55',
    '-a5',
    '-.5',
    '--__proto__=x',
    '--constructor',
    '--5',
    '-a_',
    '--m',
    '---',
    '--=x',
  ];
  for (const word of unknown) assert.throws(() => splitWords(table, [word, 'x']), /^unknown option -/, word);
  for (const name of ['-m', '--mode', '-l', '--listen']) {
    for (const rest of [[], [''], ['-a'], ['--'], ['--', 'x'], ['--all']]) {
      assert.throws(() => splitWords(table, [name, ...rest]), `${name} needs a value`);
    }
  }
  for (const word of ['--mode=', '--listen=']) assert.throws(() => splitWords(table, [word]), / needs a value$/);
  for (const word of ['--all=', '--all=true', '--first=false']) assert.throws(() => splitWords(table, [word]), / takes no value$/);
  for (const argv of [
    ['-m1', '-m2'],
    ['--mode=1', '-m', '2'],
  ])
    assert.throws(() => splitWords(table, argv), /^-+m\w* is given more than once$/);
});

test('all options with a value, of all commands, want one', () =>
  withSandbox(async ({ run }) => {
    for (const command of commands) {
      const options = optionsOf((await run(command, ['--help'])).stdout.toString());
      assert.ok(options.length > 2, command);
      for (const [at, { names }] of options.filter(({ hasValue }) => hasValue).entries()) {
        const name = names[at % names.length]!;
        const { status, stderr, stdout } = await run(command, [name, ...[[], [''], ['--version']][at % 3]!]);
        // Those of socketpipe whose value stands in braces say so.
        assert.match(stderr, new RegExp(`^${command}: ${name} needs (?:a value|\\{ COMMAND \\}.*)\n${command}: hint: .*\n$`));
        assert.is(status, ownFailure(command));
        assert.is(stdout.length, 0);
      }
    }
  }));

test('all commands refuse what is no option of theirs', () =>
  withSandbox(async ({ run }) => {
    for (const command of commands) {
      const { status, stderr } = await run(command, ['-_', 'x']);
      assert.is(stderr, `${command}: unknown option -_\n${command}: hint: see ${command} --help or man ${command}\n`);
      assert.is(status, ownFailure(command));
    }
  }));

test('a switch takes no value, and none of the words behind it', () =>
  withSandbox(async ({ dir, run, start }) => {
    assert.match((await run('dexport', ['--plain=false'])).stderr, /^dexport: --plain takes no value\n/);
    const server = start('dserve', ['-x', 'true', 'nothing']);
    assert.is(await server.line(), `${dir}/root/exported/nothing.box...0`);
    assert.is((await run('dcat', ['-v', 'nothing', '--', '/dev/null'])).status, 0);
  }));

test('short options are bundled and have their values attached; values stay the text they are', () =>
  withSandbox(async ({ dir, run, start }) => {
    const server = start('dserve', ['-xm660', '-n', '1', 'cat', 'echo']);
    assert.is(await server.line(), `${dir}/root/exported/echo.box...0`);
    assert.match((await run('dls', ['-1fl', 'echo'])).stdout.toString(), new RegExp(`^alive +0/1 srw-rw---- .* ${dir}/root/exported/echo`));
    assert.match((await run('dserve', ['--from', `'a'`])).stderr, /^dserve: cannot read 'a': /);
    assert.match((await run('dserve', [`--from="a"`])).stderr, /^dserve: cannot read "a": /);
    assert.is((await run('dcat', ['-t', '-5', 'echo'])).stderr, 'dcat: -t needs a value\ndcat: hint: if -5 is its value, write -t-5\n');
    assert.match((await run('dcat', ['--timeout=-5', 'echo'])).stderr, /^dcat: --timeout -5: not a number of seconds\n/);
    assert.match((await run('dcat', ['-t1', '--timeout', '2', 'echo'])).stderr, /^dcat: --timeout is given more than once\n/);
  }));

test('help has a short form, except where that letter means something else', () =>
  withSandbox(async ({ run }) => {
    for (const command of commands.filter((name) => name !== 'socketpipe')) {
      const { stdout, status } = await run(command, ['-h']);
      assert.is(status, 0);
      assert.is(stdout.toString(), (await run(command, ['--help'])).stdout.toString());
    }
  }));

test.run();
