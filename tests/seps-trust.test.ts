// Whom an importer trusts and an exporter lets in: first contact, changed keys, revoked ones, and what is said then.
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, has, isLong, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { exporter, offer, promised } from './sep-pair.ts';
import { hostOf, sepsPair, type SepsPair } from './seps-pair.ts';
import { withScreen } from './tmux.ts';

const test = suite('seps trust');

/** Runs a command without a terminal. */
async function refused({ local }: SepsPair, command: string, ...args: string[]): Promise<{ status: number; stderr: string }> {
  const { status, stderr } = await local.run('setsid', ['-w', 'env', command, ...args], '');
  return { status, stderr };
}

async function withPair(body: (pair: SepsPair, sandbox: Sandbox) => Promise<void>, options: string[] = []): Promise<void> {
  await withSandbox(async (sandbox) => {
    // Before the exporter: whoever comes at once must find it.
    await offer(hostOf(sandbox, 'encode'), 'cat', 'echo');
    const pair = await sepsPair(sandbox, { options });
    await body(pair, sandbox);
  });
}

test('without a terminal an unknown key is refused at once, and nothing is sent', async () => {
  await withPair(
    async (pair) => {
      const { uri, host, pins, files } = pair;
      const unknown =
        `cannot trust seps://${host}: its key is not known: ${pins.remote}\n` +
        `TOOL: hint: djoin ${host} pairs the two; or add \`${host} ${pins.remote}\` to ${files.known}\n`;
      const told = (tool: string, text: string): string => `${tool}: ${text.replace('TOOL', tool)}`;
      assert.equal(await refused(pair, 'dls', uri), { status: 1, stderr: told('dls', unknown) });
      assert.equal(await refused(pair, 'dcat', `${uri}/echo`), { status: 125, stderr: told('dcat', unknown) });
      assert.equal(await refused(pair, 'dimport', '--once', uri), { status: 1, stderr: told('dimport', unknown) });
      assert.not.match(pair.exporter.stderr, /lists|opens/);
      assert.not.ok(existsSync(files.known));
    },
    ['-v'],
  );
});

test('an exporter that does not know our key, and one that learns it while an importer runs', async () => {
  await withPair(async (pair) => {
    const { uri, host, pins, files } = pair;
    writeFileSync(files.known, `${host} ${pins.remote}\n`);
    const { status, stderr } = await refused(pair, 'dls', uri);
    assert.is(status, 1);
    assert.is(
      stderr,
      `dls: cannot connect to seps://${host}: it does not know this key (laptop's): ${pins.local}\n` +
        `dls: hint: on ${host}: dinvite laptop, here: djoin ${host}; or add \`${pins.local} laptop\` to its authorized_peers\n`,
    );
    const imported = pair.importer(uri);
    await imported.program.says(/hint: on /);
    pair.pair();
    await imported.has(1);
    assert.is(imported.program.stderr.match(/does not know this key/g)?.length, 1);
  });
});

test('a key that has changed, one of two, one that is revoked', async () => {
  await withPair(async (pair) => {
    const { uri, host, pins, files } = pair;
    pair.pair();
    const other = (await hostOf(pair.local, 'other').run('dkey')).stdout.toString().trim();
    writeFileSync(files.known, `# mine\n${host} ${other}\n`);
    const changed = await refused(pair, 'dcat', `${uri}/echo`);
    assert.equal(changed, {
      status: 125,
      stderr:
        `dcat: cannot trust seps://${host}: ITS KEY HAS CHANGED, or somebody else answers: ` +
        `it shows ${pins.remote} instead of the known ${other} (${files.known}:2)\n` +
        `dcat: hint: if its administrator confirms the new key, remove that line and pair again: djoin ${host}\n`,
    });
    writeFileSync(files.known, `${host} ${other}\n${host} ${pins.remote}\n`);
    assert.is((await pair.local.run('dcat', [`${uri}/echo`], 'x')).stdout.toString(), 'x');
    writeFileSync(files.known, `${host} ${pins.remote}\n@revoked ${pins.remote}\n`);
    assert.equal(await refused(pair, 'dls', uri), {
      status: 1,
      stderr: `dls: cannot trust seps://${host}: ITS KEY IS REVOKED (${files.known}:2)\n`,
    });
  });
});

test('another port is another exporter, and an IPv6 address stands in brackets', async () => {
  await withPair(async (pair) => {
    pair.pair();
    const six = pair.remote.start('dexport', ['--seps', '--user', 'root', '-l', '[::1]:0', '--no-announce']);
    const uri = await six.line();
    const { status, stderr } = await refused(pair, 'dls', uri);
    assert.is(status, 1);
    const host = uri.replace('seps://', '');
    assert.match(host, /^\[::1\]:\d+$/);
    assert.ok(
      stderr.startsWith(
        `dls: cannot trust ${uri}: its key is not known: ${pair.pins.remote}\ndls: hint: that is the key of encode; if this`,
      ),
      stderr,
    );
    writeFileSync(pair.files.known, `${host} ${pair.pins.remote}\n`);
    assert.is((await pair.local.run('dls', [uri])).stdout.toString(), 'echo.encode...0\n');
    const nowhere = await refused(pair, 'dls', 'seps://nowhere.invalid');
    assert.match(nowhere.stderr, /^dls: cannot connect to seps:\/\/nowhere\.invalid: (?:no such host name|its name cannot be looked up)/);
  });
});

test('each kind of exporter is told from the other', async () => {
  await withPair(async (pair, sandbox) => {
    pair.pair();
    const plain = await exporter(hostOf(sandbox, 'plain'));
    const wrong = await refused(pair, 'dcat', `seps://127.0.0.1:${plain.port}/echo`);
    assert.equal(wrong, {
      status: 125,
      stderr: `dcat: cannot connect to seps://127.0.0.1:${plain.port}: it speaks sep:// here, unencrypted\n`,
    });
    const { status, stderr } = await refused(pair, 'dcat', `sep://${pair.host}/echo`);
    assert.is(status, 125);
    assert.match(stderr, /^dcat: cannot connect to sep:\/\/\S+: this exporter speaks only TLS here: use seps:\/\//);
    assert.ok(stderr.endsWith(`dcat: hint: use seps://${pair.host}\n`), stderr);
  });
});

test('a line that goes takes its streams with it, as errors', async () => {
  await withPair(async (pair) => {
    pair.pair();
    await offer(pair.remote, 'cat /dev/zero', 'zeros');
    const imported = pair.importer(pair.uri);
    await imported.has(2);
    const cats = [pair.local.start('dcat', [`${pair.uri}/zeros`]), imported.start('dcat', ['zeros'])];
    for (const cat of cats) await eventually('bytes', () => cat.stdout.length > 0);
    const since = Date.now();
    rmSync(pair.files.authorized);
    for (const cat of cats) assert.is((await cat.ended).status, 125);
    const ms = Date.now() - since;
    assert.ok(ms < 10_000, `${ms} ms`);
    await imported.has(0);
  });
});

test('a line of known_peers that goes, or is revoked, breaks what is open, also while it is imported', async () => {
  await withPair(async (pair) => {
    const { files, pins, host, uri } = pair;
    pair.pair();
    const imported = pair.importer(uri);
    const good = readFileSync(files.known, 'utf8');
    for (const [known, told] of [
      [`${good}@revoked ${pins.remote}\n`, `cannot trust seps://${host}: ITS KEY IS REVOKED (${files.known}:2)`],
      ['# nothing\n', `cannot trust seps://${host}: its key is not known: ${pins.remote}`],
    ] as const) {
      await imported.has(1);
      const cats = [pair.local.start('dcat', [`${uri}/echo`]), imported.start('dcat', ['echo'])];
      for (const cat of cats) {
        cat.child.stdin!.write('x');
        await eventually('the echo', () => cat.stdout.length === 1);
      }
      writeFileSync(files.known, `${good}# about something else\n`);
      const since = Date.now();
      writeFileSync(files.known, known);
      for (const cat of cats) assert.is((await cat.ended).status, 125);
      assert.ok(Date.now() - since < promised(1000), `${Date.now() - since} ms`);
      await imported.has(0);
      await eventually('the reason', () => imported.program.stderr.includes(told));
      writeFileSync(files.known, good);
    }
    await imported.has(1);
  });
});

test('a key is changed without a break: paired again under the same name, and then the old line goes', async () => {
  await withPair(async ({ pair, uri, host, local, remote, files }) => {
    pair();
    const begin = async (letter: string): Promise<Program> => {
      const cat = local.start('dcat', [`${uri}/echo`]);
      cat.child.stdin!.write(letter);
      await eventually('the echo, or an end', () => cat.stdout.toString() === letter || cat.stderr !== '');
      assert.equal([cat.stdout.toString(), cat.stderr], [letter, '']);
      return cat;
    };
    const old = await begin('a');
    renameSync(`${local.dir}/laptop.keys/key.pem`, `${local.dir}/old.pem`);
    const invite = remote.start('dinvite', ['laptop', 'user=root']);
    const joined = await local.run('djoin', [host], `${await invite.line()}\n`);
    assert.is(joined.status, 0, joined.stderr);
    assert.match((await invite.ended).stderr, /line 1 is for another key of laptop: remove it if that one is no longer used\n$/);
    const fresh = await begin('b');
    old.child.stdin!.write('c');
    await eventually('the old one to go on', () => old.stdout.toString() === 'ac');
    writeFileSync(files.authorized, readFileSync(files.authorized, 'utf8').replace(/^.*\n/, ''));
    assert.is((await old.ended).status, 125);
    fresh.child.stdin!.end('d');
    const { status, stdout } = await fresh.ended;
    assert.equal([status, stdout.toString()], [0, 'bd']);
  });
});

test('a line that was written just now counts at once, long before the file is read again by itself', async () => {
  await withSandbox(async (sandbox) => {
    await offer(hostOf(sandbox, 'encode'), 'cat', 'echo');
    // By itself it would be read after five seconds.
    const { pair, uri, local } = await sepsPair(sandbox, { extra: { DIPUS_TIME_SCALE: '20' } });
    pair();
    const { status, stdout, stderr } = await local.run('dcat', [`${uri}/echo`], 'x');
    assert.equal([status, stdout.toString(), stderr], [0, 'x', '']);
  });
});

test('a key that was copied is the same user on both hosts', async () => {
  await withPair(async ({ pair, uri, local, pins }, sandbox) => {
    pair();
    const copy = hostOf(sandbox, 'copy');
    cpSync(`${local.dir}/laptop.keys`, `${copy.dir}/copy.keys`, { recursive: true });
    const cats = [local, copy].map((host) => host.start('dcat', [`${uri}/echo`]));
    for (const cat of cats) cat.child.stdin!.write('x');
    for (const cat of cats) await eventually('the echo', () => cat.stdout.toString() === 'x');
    assert.is((await copy.run('dkey')).stdout.toString(), `${pins.local}\n`);
  });
});

/** The environment in which it is that day, by faketime(1); undefined where there is none. */
function dayOf(date: string): NodeJS.ProcessEnv | undefined {
  const library = readdirSync('/usr/lib')
    .map((machine) => `/usr/lib/${machine}/faketime/libfaketime.so.1`)
    .find((path) => existsSync(path));
  return library === undefined ? undefined : { LD_PRELOAD: library, FAKETIME: `@${date} 00:00:00` };
}

for (const [there, here] of [['1970-01-02', '2099-06-01'], ...(isLong ? [['2099-06-01', '1970-01-02']] : [])] as [string, string][]) {
  const [extra, own] = [dayOf(there), dayOf(here)];
  const title = `two hosts pair, and one uses the other, where it is ${there} at the exporter and ${here} at the importer`;
  if (!extra || !own) test.skip(title, 'there is no faketime');
  else {
    test(title, () =>
      withSandbox(async (sandbox) => {
        await hostOf(sandbox, 'encode', extra).start('dserve', ['-x', 'cat', 'echo']).line();
        const { remote, host, uri } = await sepsPair(sandbox, { extra });
        const local = hostOf(sandbox, 'tablet', own);
        const code = await remote.start('dinvite', ['tablet', 'user=root']).line();
        assert.is((await local.run('djoin', [host], code)).status, 0);
        const { status, stdout, stderr } = await local.run('dcat', [`${uri}/echo`], 'whenever');
        assert.equal([status, stdout.toString(), stderr], [0, 'whenever', '']);
      }),
    );
  }
}

if (!has('tmux')) test.skip('a person is asked', 'there is no tmux');
else {
  test('a person is asked once, and yes is remembered', async () => {
    await withPair(async (pair) => {
      const { uri, host, pins, files } = pair;
      writeFileSync(files.authorized, `${pins.local} laptop user=root\n`);
      await withScreen(pair.local, pair.local.env, async ({ type, shows, read }) => {
        await type(`dls ${uri} < /dev/null | cat; echo end''ed`, 'Enter');
        await shows(/^Is that its key, and shall it be remembered\? \(yes\/no\) ?$/m);
        assert.ok((await read()).includes(`The exporter ${host} is not known. It shows the key ${pins.remote}.`));
        await type('no', 'Enter');
        await shows(/^dls: cannot trust seps:\S+: its key is not known: (?:.|\n)*^ended$/m);
        assert.not.ok(existsSync(files.known));
        await type(`clear; dimport -v ${uri}`, 'Enter');
        await shows(/\(yes\/no\) ?$/m);
        await type('no', 'Enter');
        // A no holds for as long as it runs.
        await shows(/trying again in [^]*trying again in/m);
        assert.is((await read()).match(/yes\/no/g)?.length, 1);
        await type('', 'C-c');
        await type(`clear; dls ${uri} < /dev/null; echo end''ed`, 'Enter');
        await shows(/\(yes\/no\) ?$/m);
        await type('yes', 'Enter');
        await shows(/^echo\.encode\.\.\.0\n(?:.|\n)*^ended$/m);
        assert.is(readFileSync(files.known, 'utf8'), `${host} ${pins.remote}\n`);
        await type(`clear; dls ${uri}; echo end''ed`, 'Enter');
        await shows(/^echo\.encode\.\.\.0\nended$/m);
      });
    });
  }, 120_000);
}

test('a line that cannot be read is told of once, and counts for nothing', async () => {
  await withPair(async (pair) => {
    pair.pair();
    writeFileSync(pair.files.known, `${readFileSync(pair.files.known, 'utf8')}nonsense\n`);
    const imported = pair.importer(pair.uri);
    await imported.has(1);
    assert.is(imported.program.stderr, `dimport: cannot read ${pair.files.known}: line 2: it is not HOST PIN [NAME]\n`);
  });
});

test.run();
