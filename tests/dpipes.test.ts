// Pipelines over several trees that stand for hosts: what they print, how they end, and what is never taken for an end.
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import * as assert from 'uvu/assert';
import { bundle, eventually, has, rounds, suite, testWith, withSandbox, type Ended, type Program, type Sandbox } from './harness.ts';
import { childrenOf, commandOf, descendantsOf, programsOf } from './processes.ts';
import { promised } from './sep-pair.ts';
import { serve } from './services.ts';

const test = suite('dpipes');

/** A host: a root of its own with an exporter and a dpipesd whose stages may be anything. */
interface Node {
  readonly root: string;
  readonly uri: string;
  readonly daemon: Program;
  readonly exporter: Program;
  readonly path: string;
}

/** Anything may run behind these exporters, for the tests' own user alone. */
async function node(sandbox: Sandbox, name: string, ...options: string[]): Promise<Node> {
  const root = `${sandbox.dir}/${name}`;
  const env = { ...sandbox.env, DIPUS_ROOT: root, DIPUS_HOST: name };
  const daemon = sandbox.start('dpipesd', ['-x', ...(options.length > 0 ? options : ['--app', 'sh args=any'])], { env });
  const path = await daemon.line();
  for (let at = 1; at < options.filter((word) => word === '--app').length || at < (options.length === 0 ? 2 : 0); at++) await daemon.line();
  const exporter = sandbox.start('dexport', ['--user', 'root', '-l', '127.0.0.1:0', '--no-announce'], { env });
  return { root, uri: await exporter.line(), daemon, exporter, path };
}

/** This host's own dpipesd, for which any command may run. */
async function startNode(sandbox: Sandbox, ...options: string[]): Promise<Program> {
  const daemon = sandbox.start('dpipesd', options);
  await daemon.line();
  return daemon;
}

const sh = (script: string): string => `sh -c '${script}'`;

function dpipes(sandbox: Sandbox, args: readonly string[], input: string | Buffer = ''): Promise<Ended> {
  return sandbox.run('dpipes', ['-t', '30', ...args], input);
}

function said(ended: Ended): [string, string, number] {
  return [ended.stdout.toString(), ended.stderr, ended.status];
}

test('on one host: bytes, stderr and statuses as of a shell', async () => {
  await withSandbox(async (sandbox) => {
    await startNode(sandbox);
    assert.equal(said(await dpipes(sandbox, ['sort | uniq -c | sed "s/^ *//" | head -1'], 'b\na\nb\na\na\n')), ['3 a\n', '', 0]);
    const rows: [string[], string, number][] = [
      [['-n', 'echo x'], 'x\n', 0],
      // Opened when the other end has gone already.
      [['-n', 'echo x | (sleep 0.3; cat /dev/stdin)'], 'x\n', 0],
      [['-n', '(echo x; sleep 0.3; echo y > /dev/stdout) | true'], '', 0],
      [['-n', 'echo x | (cat; exit 5)'], 'x\n', 5],
      [['-n', '(echo x; exit 7) | cat'], 'x\n', 7],
      [['-n', '(echo x; exit 7) | (cat; exit 5)'], 'x\n', 5],
      [['-n', '! echo x | grep -q y'], '', 0],
      [['-n', '! true'], '', 1],
      [['-n', 'yes | cat | head -1'], 'y\n', 0],
      [['-n', 'nothing-of-that-name'], '', 127],
      [['-n', 'cat'], '', 0],
      // What a program has left in its group opens its input again.
      [['-n', 'echo x | (exec 3<&0; (sleep 1; cat /dev/fd/3) & sleep 0.3)'], 'x\n', 0],
      [['-n', '(echo out; echo err >&2) |& sort'], 'err\nout\n', 0],
      [['-n', 'test -p /dev/stdout && echo "$DPIPES_STAGE/$DPIPES_STAGES" | cat'.replace('test -p /dev/stdout && ', '')], '1/2\n', 0],
    ];
    for (const [args, stdout, status] of rows) {
      const ended = await dpipes(sandbox, args);
      assert.equal([ended.stdout.toString(), ended.status], [stdout, status], args.join(' '));
    }
    assert.is(
      (await dpipes(sandbox, ['-n', '--tag', '(echo one >&2; printf two >&2; echo >&2) | cat'])).stderr,
      '1 @box: one\n1 @box: two\n',
    );
    assert.is(
      (await dpipes(sandbox, ['-n', '--tag', '(printf on >&2; sleep 1; echo e >&2) | (sleep 0.3; echo two >&2)'])).stderr,
      '1 @box: on\n2 @box: two\n1 @box: e\n',
    );
    const progress = await dpipes(sandbox, ['-n', '-p', 'head -c 300000 /dev/zero | cat | wc -c']);
    assert.equal([progress.stdout.toString().trim(), progress.status], ['300000', 0]);
    const rate = '\\S+ [KMG]?i?B/s';
    const out = '293\\.0 KiB out';
    assert.match(
      progress.stderr,
      new RegExp(
        `^stage 1, head {2}${out}, ${rate}\nstage 2, cat {2}293\\.0 KiB in, ${out}, ${rate}\n` +
          `stage 3, wc {2}293\\.0 KiB in, 7 B out, ${rate}\n$`,
      ),
    );
    const text = 'a line of text\n'.repeat(rounds(200_000, 5_000_000));
    const ended = await dpipes(sandbox, ['cat | cat | cat'], text);
    assert.ok(ended.stdout.toString() === text);
    assert.is(ended.status, 0);
  });
}, 180_000);

test('a disk that is full', async () => {
  await withSandbox(async (sandbox) => {
    await startNode(sandbox);
    for (const pipeline of ['echo x', 'yes | cat']) {
      const ended = await sandbox.run('sh', ['-c', 'exec dpipes -n "$1" >/dev/full', 'sh', pipeline]);
      assert.equal(said(ended), ['', 'dpipes: cannot write stdout: no space left on device\n', 125], pipeline);
    }
  });
});

test('the pipes of a stage hold as much as is copied at a time', async () => {
  await withSandbox(async (sandbox) => {
    await startNode(sandbox);
    // F_GETPIPE_SZ.
    const sizes = `python3 -c "import fcntl, sys; sys.stdin.read(); print(*(fcntl.fcntl(fd, 1032) for fd in (0, 1)))"`;
    await serve(sandbox, sizes, 'sizes');
    for (const stage of [sizes, '@sizes']) assert.equal(said(await dpipes(sandbox, [stage], 'x')), ['131072 131072\n', '', 0], stage);
  });
});

test('over two hosts, by name, by URI and by import, and through this one where neither calls the other', async () => {
  await withSandbox(async (sandbox) => {
    await startNode(sandbox);
    const [a, b] = [await node(sandbox, 'a'), await node(sandbox, 'b')];
    const both = ['-v', '-N', a.uri, '-N', b.uri];
    const direct = await dpipes(sandbox, [...both, `${sh('cat; echo a >&2')} | ${sh('tr a-z A-Z')}`], 'some text\n');
    assert.equal([direct.stdout.toString(), direct.status], ['SOME TEXT\n', 0]);
    assert.match(direct.stderr, /stage 1, sh to stage 2, sh: linked\n/);
    assert.match(direct.stderr, /^a$/m);
    // Each step on a host of its own, as far as there are some.
    assert.match(direct.stderr, new RegExp(`has a place at ${a.uri}/`));
    assert.match(direct.stderr, new RegExp(`has a place at ${b.uri}/`));
    const imports = sandbox.start('dimport', [a.uri, b.uri]);
    await eventually('both are imported', async () => (await sandbox.run('dls', ['sh'])).stdout.toString().trim().split('\n').length === 2);
    const imported = await dpipes(sandbox, ['-v', `@a ${sh('cat')} | @b ${sh('cat')} | ${sh('cat')}`], 'x');
    assert.equal([imported.stdout.toString(), imported.status], ['x', 0], imported.stderr);
    assert.is(imported.stderr.match(/: linked\n/g)?.length, 2, imported.stderr);
    // Services of dserve call nobody.
    await sandbox.start('dserve', ['tr a-z A-Z', 'upper']).line();
    await sandbox.start('dserve', ['rev', 'rev']).line();
    const relayed = await dpipes(sandbox, ['-v', '@upper | @rev'], 'abc\n');
    assert.equal([relayed.stdout.toString(), relayed.status], ['CBA\n', 0]);
    assert.match(relayed.stderr, /neither can call the other, so their bytes pass through this host\n/);
    const called = await dpipes(sandbox, ['-v', `@upper | ${sh('cat')}`, '-N', a.uri], 'abc');
    assert.equal([called.stdout.toString(), called.status], ['ABC', 0]);
    assert.match(called.stderr, /linked, by a call from the second\n|pass through this host\n/);
    assert.is((await imports.stop()).status, 0);
  });
}, 120_000);

test('a node that takes connections and says nothing is told of, and left out; ^C meanwhile says nothing of it', async () => {
  const hung = createServer((connection) => void connection.on('error', () => {}));
  hung.listen(0, '127.0.0.1');
  await once(hung, 'listening');
  const { port } = hung.address() as AddressInfo;
  await withSandbox(async (sandbox) => {
    const daemon = await startNode(sandbox);
    const good = `unix://${daemon.stdout.toString().trim()}`;
    for (const scheme of ['sep', 'seps', 'ssh']) {
      const uri = `${scheme}://127.0.0.1:${port}`;
      const began = Date.now();
      const ended = await sandbox.run('dpipes', ['-n', '-N', uri, '-N', good, 'seq 2 | cat'], '');
      assert.equal(said(ended), ['1\n2\n', `dpipes: cannot connect to ${uri}: it does not answer\n`, 0]);
      assert.ok(Date.now() - began < 9000, `${Date.now() - began} ms`);
      const stopped = sandbox.start('dpipes', ['-n', '-N', uri, '@nobody seq 2']);
      await pause(500);
      const { signal, stderr } = await stopped.stop('SIGINT');
      assert.equal([signal, stderr], ['SIGINT', '']);
    }
    const gone = await dpipes(sandbox, ['-v', '-n', '-N', `unix://${sandbox.dir}/gone`, 'seq 2']);
    assert.match(gone.stderr, /^dpipes: \S+\/gone is passed over: no such file or directory\ndpipes: cannot place stage 1, seq: /m);
  });
  hung.close();
});

test('a node that has no room for one more connection is asked again', async () => {
  await withSandbox(async (sandbox) => {
    const { daemon, root } = await node(sandbox, 'far');
    const exporter = sandbox.start('dexport', ['--user', 'root', '-l', '127.0.0.1:0', '--no-announce', '--max', '1'], {
      env: { ...sandbox.env, DIPUS_ROOT: root, DIPUS_HOST: 'far' },
    });
    const uri = await exporter.line();
    const holder = connect(Number(uri.split(':').at(-1)), '127.0.0.1').on('error', () => {});
    await once(holder, 'connect');
    setTimeout(() => holder.destroy(), 1500);
    const ended = await dpipes(sandbox, ['-N', uri, '--plan', 'seq 2']);
    assert.equal([ended.stderr, ended.status], ['', 0]);
    await daemon.stop();
  });
});

test('what may not run, is not there, or makes no sense', async () => {
  await withSandbox(async (sandbox) => {
    const nowhere = await dpipes(sandbox, ['-n', 'cat']);
    assert.equal(nowhere.status, 127);
    assert.match(nowhere.stderr, /^dpipes: cannot place stage 1, cat: no node was found\ndpipes: hint: start dpipesd /);
    const a = await node(sandbox, 'a', '--app', 'sort args=any', '--app', 'date', '--app', 'lines command=/usr/bin/wc');
    const at = (...args: string[]): Promise<Ended> => dpipes(sandbox, ['-n', '-N', a.uri, ...args]);
    const refused = async (pipeline: string, reason: string): Promise<void> => {
      const ended = await at(pipeline);
      assert.is(ended.status, 126, pipeline);
      assert.match(ended.stderr, new RegExp(`^dpipes: cannot run stage \\d.*: ${reason}\n`), pipeline);
    };
    await refused('cat', 'it runs nothing but sort, date, lines');
    await refused('date -u', 'date takes no arguments here');
    await refused('sort > /tmp/x', 'it has no shell, and runs nothing but sort, date, lines: a plain command alone');
    await refused('sort "$HOME"', 'it has no shell, and runs nothing but sort, date, lines: a plain command alone');
    await refused('sort $(id)', 'it has no shell, and runs nothing but sort, date, lines: a plain command alone');
    assert.equal(said(await at('lines')), ['      0       0       0\n', '', 0]);
    assert.equal(said(await dpipes(sandbox, ['-N', a.uri, 'sort -r'], 'a\nb\n')), ['b\na\n', '', 0]);
    assert.is((await at('@nobody sort')).status, 127);
    const wrong: [string[], RegExp][] = [
      [[], /^dpipes: no PIPELINE given\n/],
      [['a', '|', 'b'], /^dpipes: PIPELINE is one word\ndpipes: hint: dpipes 'a \| b'\n/],
      [['a && b'], /^dpipes: PIPELINE: && at character 3 joins pipelines/],
      [['-e', '--sh', 'a'], /^dpipes: -e does not go with --sh\n/],
      [['-N', 'foo bar', 'a'], /^dpipes: -N "foo bar": /],
    ];
    for (const [args, stderr] of wrong) {
      const ended = await sandbox.run('dpipes', args);
      assert.match(ended.stderr, stderr);
      assert.is(ended.status, 125, args.join(' '));
    }
    const unknown = await sandbox.run('dpipes', ['@bad..ask']);
    assert.is(unknown.status, 127);
    assert.match(unknown.stderr, /^dpipes: cannot place stage 1: bad\.\.ask: no service of that name can be a stage\n/);
    const stopped = await startNode(sandbox);
    const syntax = await dpipes(sandbox, ['-n', 'if true; then echo $[1']);
    assert.is(syntax.status, 125);
    assert.match(syntax.stderr, /^dpipes: PIPELINE: /);
    // One that does not answer holds nobody for longer than is said.
    stopped.signal('SIGSTOP');
    const late = await sandbox.run('dpipes', ['-n', '-t', '1', 'true']);
    assert.equal([late.status, late.stderr.split('\n')[0]], [125, 'dpipes: cannot place the stages: it has taken too long']);
    stopped.signal('SIGCONT');
  });
}, 120_000);

test('a stage that is killed or fails: which ends are true, by default, with -e and with --sh', async () => {
  await withSandbox(async (sandbox) => {
    await startNode(sandbox);
    const file = `${sandbox.dir}/whole`;
    const commit = `(cat > ${sandbox.dir}/part && mv ${sandbox.dir}/part ${file})`;
    const rows: [string, string[], number, boolean][] = [
      ['(echo a; exit 1)', [], 1, true],
      ['(echo a; exit 1)', ['-e'], 125, false],
      ['(echo a; kill -9 $$)', [], 125, false],
      ['(echo a; kill -9 $$)', ['--sh'], 137, true],
      ['(echo a; exit 129)', [], 125, false],
      ['(echo a; exit 129)', ['--sh'], 129, true],
      ['echo a', ['-e'], 0, true],
    ];
    for (const [first, options, status, isWhole] of rows) {
      const ended = await dpipes(sandbox, ['-n', ...options, `${first} | ${commit}`]);
      assert.equal([ended.status, existsSync(file)], [status, isWhole], `${options.join(' ')} ${first}: ${ended.stderr}`);
      rmSync(file, { force: true });
    }
  });
}, 120_000);

test('--status tells how each stage ended, --last counts the last one alone, and syntax of bash is hinted at', async () => {
  await withSandbox(async (sandbox) => {
    await startNode(sandbox);
    const told = async (pipeline: string, ...options: string[]): Promise<[Ended, Record<string, unknown>[]]> => {
      const file = `${sandbox.dir}/ends`;
      const words = ['-c', 'exec dpipes -n --status 3 "$@" 3>"$0"', file, ...options, pipeline];
      const ended = await sandbox.run('sh', words);
      const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
      return [ended, lines.filter(Boolean).map((line) => JSON.parse(line) as Record<string, unknown>)];
    };
    const [ended, [first, second]] = await told('(echo one; echo two; exit 3) | tail -n 1');
    assert.equal([ended.stdout.toString(), ended.status], ['two\n', 3], ended.stderr);
    const place = { node: `${sandbox.root}/local/dpipesd.box...0`, service: 'dpipesd.box...0' };
    assert.equal({ ...first, seconds: 0 }, { stage: 1, ...place, exit: 3, seconds: 0, bytes: 8, link: 'direct' });
    const last = { stage: 2, name: 'tail', ...place, exit: 0, seconds: 0, bytes: 4, link: 'client' };
    assert.equal({ ...second, seconds: 0 }, last);
    const [lastAlone] = await told('(exit 3) | true', '--last');
    assert.is(lastAlone.status, 0);
    const [lost, ends] = await told('(echo a; kill -9 $$) | (cat; sleep 4242)');
    assert.equal([lost.status, ends.map(({ signal, error }) => signal ?? error)], [125, ['KILL', 'it was ended with the others']]);
    const closed = await dpipes(sandbox, ['--status', '3', 'true']);
    assert.match(closed.stderr, /^dpipes: --status 3: descriptor 3 is not open for writing\n/);
    const hint = "has syntax of bash, and was run by sh: -O shell=/bin/bash, where its node takes that, or bash -c '...'\n";
    const dash = await dpipes(sandbox, ['-n', '[[ a = a ]] | cat']);
    assert.ok(dash.stderr.includes(hint) === !readlinkSync('/bin/sh').includes('bash'), dash.stderr);
    assert.equal(said(await dpipes(sandbox, ['-n', '-O', 'shell=/bin/bash', '[[ a = a ]]'])), ['', '', 0]);
  });
}, 120_000);

test('^C ends all of it, and dpipes dies of it; SIGTERM at a node lets its stages finish', async () => {
  await withSandbox(async (sandbox) => {
    const daemon = await startNode(sandbox);
    const client = sandbox.start('dpipes', ['-n', 'sleep 4242 | sleep 4242']);
    await eventually('both run', () => descendantsOf(daemon.pid).filter((pid) => commandOf(pid) === 'sleep 4242 ').length === 2);
    client.signal('SIGINT');
    client.signal('SIGINT');
    assert.not.equal((await client.ended).status, 0);
    await eventually('all gone', () => programsOf(daemon.pid).length === 0);
    const stubborn = '(trap "echo int >&2" INT; sleep 4242; sleep 4242)';
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const deaf = sandbox.start('dpipes', ['-n', `${stubborn} | ${stubborn}`]);
      await eventually('both run', () => descendantsOf(daemon.pid).filter((pid) => commandOf(pid) === 'sleep 4242 ').length === 2);
      deaf.signal('SIGINT');
      await deaf.says(/int[^]*int/);
      deaf.signal(signal);
      assert.is((await deaf.ended).signal, signal);
      await eventually('all gone', () => programsOf(daemon.pid).length === 0);
    }
    const late = sandbox.start('dpipes', ['cat | cat']);
    late.child.stdin!.write('one ');
    await eventually('they run', () => programsOf(daemon.pid).filter((pid) => commandOf(pid) === '/bin/sh -c cat ').length === 2);
    const stopped = daemon.stop('SIGTERM');
    late.child.stdin!.end('two');
    assert.equal(said(await late.ended), ['one two', '', 0]);
    assert.is((await stopped).status, 0);
  });
});

test('many at once over a few nodes with few places: all end, each with its own bytes, and no node has most of them', async () => {
  await withSandbox(async (sandbox) => {
    const names = ['a', 'b', 'c', 'd'];
    const nodes = await Promise.all(names.map((name) => node(sandbox, name, '-n', '8', '--app', 'sh args=any')));
    const options = nodes.flatMap(({ uri }) => ['-N', uri]);
    const [count, atOnce] = [rounds(12, 1000), rounds(12, 100)];
    const stages = rounds(2, 3);
    const pipeline = Array.from({ length: stages }, () => sh('cat')).join(' | ');
    const one = async (number: number): Promise<string[]> => {
      const words = ['-c', 'exec dpipes --status 3 "$@" 3>"$0"', `${sandbox.dir}/ends.${number}`, '-t', '0', ...options, pipeline];
      assert.equal(said(await sandbox.run('sh', words, `job ${number}`)), [`job ${number}`, '', 0]);
      const ends = readFileSync(`${sandbox.dir}/ends.${number}`, 'utf8').trim().split('\n');
      return ends.map((line) => (JSON.parse(line) as { service: string }).service);
    };
    const ran: string[] = [];
    let next = 0;
    const work = async (): Promise<void> => {
      while (next < count) ran.push(...(await one(next++)));
    };
    // More than have places at a time; in the long form also more than a small machine begins within the 30 s of a place.
    await Promise.all(Array.from({ length: atOnce }, work));
    const most = Math.max(...names.map((name) => ran.filter((service) => service === `dp/sh.${name}...0`).length));
    assert.is(ran.length, stages * count);
    assert.ok(most <= (1.5 * ran.length) / names.length, `${most} of ${ran.length} stages are on one node`);
    for (const { daemon } of nodes) await eventually('nothing is left', () => programsOf(daemon.pid).length === 0);
  });
}, 240_000);

test('a place that is lost before the beginning is asked for again, one that is in use waited for until -t', async () => {
  await withSandbox(async (sandbox) => {
    // The first stage has a place for 0.9 s; the second one's node, asked for the first time, takes longer to give one.
    const hasty = { env: { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/hasty`, DIPUS_TIME_SCALE: '0.03' } };
    const first = await sandbox.start('dpipesd', [], hasty).line();
    const ask = `[ -e ${sandbox.dir}/asked ] || { touch ${sandbox.dir}/asked; sleep 1.5; }`;
    const slow = { env: { ...sandbox.env, DIPUS_HOST: 'slow' } };
    writeFileSync(`${sandbox.dir}/ask`, `#!/bin/sh\n${ask}\n`, { mode: 0o755 });
    const daemon = sandbox.start('dpipesd', ['-n', '1', '--auth-command', `${sandbox.dir}/ask`], slow);
    const second = await daemon.line();
    const nodes = ['-v', '-N', `unix://${first}`, '-N', `unix://${second}`];
    const ended = await dpipes(sandbox, [...nodes, '@box cat | @slow cat'], 'x');
    assert.equal([ended.stdout.toString(), ended.status], ['x', 0], ended.stderr);
    assert.match(ended.stderr, /cannot link the pipeline: its client has not begun it in time; trying again\n/);
    const holder = sandbox.start('dpipes', [...nodes, '@slow cat']);
    await holder.says(/has a place/);
    const late = await sandbox.run('dpipes', ['-n', '-t', '1', ...nodes.slice(1), '@slow cat']);
    assert.is(late.status, 125);
    assert.match(
      late.stderr,
      /^dpipes: cannot run stage 1, cat at \S+: busy\ndpipes: hint: -t says how long it may take to begin\n$/,
      late.stderr,
    );
    const waiting = dpipes(sandbox, [...nodes, '@slow cat'], 'y');
    holder.child.stdin!.end();
    assert.is((await holder.ended).status, 0);
    assert.equal((await waiting).stdout.toString(), 'y');
  });
}, 120_000);

test('those that want the same places in opposite orders do not wait for each other for ever', async () => {
  await withSandbox(async (sandbox) => {
    const nodes = await Promise.all(['a', 'b'].map((name) => node(sandbox, name, '-n', '1', '--app', 'sh args=any')));
    const options = nodes.flatMap(({ uri }) => ['-N', uri]);
    const orders = Array.from({ length: rounds(2, 40) }, (_, at) => (at % 2 === 0 ? ['a', 'b'] : ['b', 'a']));
    const ends = orders.map(async ([first, second]) =>
      sandbox.run('dpipes', ['-t', '0', ...options, `@${first} ${sh('cat')} | @${second} ${sh('cat')}`], 'x'),
    );
    for (const ended of await Promise.all(ends)) assert.equal(said(ended), ['x', '', 0]);
  });
}, 240_000);

if (has('parallel')) {
  test('GNU parallel on top: each job has its status', async () => {
    await withSandbox(async (sandbox) => {
      await startNode(sandbox);
      mkdirSync(`${sandbox.dir}/out`);
      const job = `"echo {} | (cat > ${sandbox.dir}/out/{}; exit {})"`;
      const ended = await sandbox.run('parallel', ['-j2', '--joblog', 'jobs', 'dpipes', '-n', job, ':::', '0', '1', '2']);
      assert.is(ended.status, 2, ended.stderr);
      const rows = readFileSync(`${sandbox.dir}/jobs`, 'utf8').trim().split('\n').slice(1);
      assert.equal(
        rows.map((row) => Number(row.split('\t')[6])).sort((a, b) => a - b),
        [0, 1, 2],
      );
      assert.equal(readdirSync(`${sandbox.dir}/out`).sort(), ['0', '1', '2']);
    });
  }, 120_000);

  test('GNU parallel on top: what a dead node has lost is done again by the others', async () => {
    await withSandbox(async (sandbox) => {
      const { dir } = sandbox;
      const [a, b] = [await node(sandbox, 'a'), await node(sandbox, 'b')];
      // Each has a stage on both, and goes on when it may.
      const wait = `sh -c 'echo >> ${dir}/begun.{}; until test -e ${dir}/go; do sleep 0.05; done; echo {}'`;
      const words = ['dpipes', '-v', '-n', '-N', a.uri, '-N', b.uri, `"${wait} | sh -c cat"`];
      const jobs = sandbox.start('parallel', ['-j2', '--retries', '3', '--joblog', 'jobs', ...words, ':::', '1', '2']);
      // A file is there a moment before the line in it.
      const hasBegun = (number: number): boolean => existsSync(`${dir}/begun.${number}`) && statSync(`${dir}/begun.${number}`).size > 0;
      await eventually('both have begun', () => hasBegun(1) && hasBegun(2));
      await b.daemon.stop('SIGKILL');
      writeFileSync(`${dir}/go`, '');
      const ended = await jobs.ended;
      const lines = ended.stdout.toString().trim().split('\n').sort();
      assert.equal([lines, ended.status], [['1', '2'], 0], ended.stderr);
      const rows = readFileSync(`${dir}/jobs`, 'utf8').trim().split('\n').slice(1);
      assert.equal(
        rows.map((row) => row.split('\t')[6]),
        ['0', '0'],
      );
      for (const number of [1, 2]) assert.is(readFileSync(`${dir}/begun.${number}`, 'utf8'), '\n\n', `it was begun twice: ${ended.stderr}`);
    });
  }, 120_000);
} else {
  for (const what of ['each job has its status', 'what a dead node has lost is done again by the others'])
    test.skip(`GNU parallel on top: ${what}`, 'there is no parallel');
}

testWith(test, ['python3'], 'what is dead already holds no place, where process 1 waits for nobody', async () => {
  await withSandbox(async (sandbox) => {
    // As in a container whose first program knows nothing of children: PR_SET_CHILD_SUBREAPER, prctl(2).
    const script = [
      'import ctypes, subprocess, sys',
      'ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)',
      'sys.exit(subprocess.Popen(sys.argv[1:]).wait())',
    ];
    const args = ['-c', script.join('\n'), bundle('dserve'), '-n', '1', 'sleep 4242 & echo up >&2; wait', 'hold'];
    const container = sandbox.start('python3', args);
    await container.line();
    await serve(sandbox, 'sleep 4242', 'source');
    let begun = performance.now();
    for (let at = 0; at < 2; at++) {
      const client = sandbox.start('dpipes', ['@source | @hold']);
      await eventually('the stage runs', () => client.stderr.includes('up'));
      // The second has the place of the first.
      if (at === 1) assert.ok(performance.now() - begun < promised(2500), `${performance.now() - begun} ms`);
      begun = performance.now();
      client.signal('SIGKILL');
      await client.ended;
    }
    // Nobody ends it with the container.
    for (const dserve of childrenOf(container.pid)) process.kill(dserve, 'SIGTERM');
    await container.ended;
  });
});

test.run();
