// dimport: sockets that are true, of hosts that come, go, and mean ill.
import { once } from 'node:events';
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, isLong, rounds, sleep, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { peakBytes } from './processes.ts';
import { below, exporter, importer, offer, promised, sockets } from './sep-pair.ts';

const test = suite('dimport');

test('a service of the remote host is a socket here, for as long as it runs', async () => {
  await withSandbox(async (sandbox) => {
    const first = await offer(sandbox, 'cat', 'echo/some/where');
    const there = await exporter(sandbox);
    const here = importer(sandbox, there.uri);
    const path = `some/where/echo.127.0.0.1...0`;
    assert.match(await here.program.line(), new RegExp(`^\\+ [^/]+/${path}$`));
    const file = `${here.root}/${sockets(here.root)[0]}`;
    assert.is(statSync(file).mode & 0o777, 0o600);
    assert.ok(statSync(file.replace('echo', '.echo')).isSocket());
    assert.is(statSync(`${here.root}/${readdirSync(here.root)[0]}`).mode & 0o777, 0o700);
    await first.stop();
    assert.match(await here.program.line(promised(1000)), /^- .*echo\.127\.0\.0\.1\.\.\.0$/);
    await offer(sandbox, 'cat', 'echo');
    assert.match(await here.program.line(promised(1000)), /^\+ [^/]+\/echo\.127\.0\.0\.1\.\.\.0$/);
    await there.program.stop();
    assert.match(await here.program.line(promised(1000)), /^- /);
    assert.is((await here.program.stop()).status, 0);
    assert.equal(sockets(here.root), []);
  });
});

test('status, stderr, signals, info and order come through', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat >/dev/null; echo trouble >&2; exit 3', 'three');
    await offer(sandbox, 'exec kill -9 $$', 'killed');
    await offer(sandbox, 'trap "echo caught; exit 5" INT; echo up; while :; do sleep 0.05; done', 'trap', '-n', '7');
    const there = await exporter(sandbox);
    const here = importer(sandbox, there.uri);
    await here.has(3);
    const three = await here.run('dcat', ['three'], 'x');
    assert.equal([three.status, three.stderr], [3, 'trouble\n']);
    assert.is((await here.run('dcat', ['killed'])).status, 137);
    const trap = here.start('dcat', ['trap']);
    assert.is(await trap.line(), 'up');
    const long = (await here.run('dls', ['-l', 'trap'])).stdout.toString();
    assert.match(long, new RegExp(`^alive 1/7 srw-------.*trap\\.127\\.0\\.0\\.1\\.\\.\\.0 +${there.uri}/trap\\.box\\.\\.\\.0\n$`));
    trap.signal('SIGINT');
    assert.is((await trap.ended).status, 5);
  });
});

test('the same without importing', async () => {
  await withSandbox(async (sandbox) => {
    const first = await offer(sandbox, 'cat >/dev/null; echo trouble >&2; exit 3', 'three/a/b');
    await offer(sandbox, 'cat', 'echo');
    const { uri, program } = await exporter(sandbox);
    const run = (tool: string, args: string[], input = ''): ReturnType<Sandbox['run']> => sandbox.run(tool, args, input);
    assert.is((await run('dcat', [`${uri}/echo`], 'hello')).stdout.toString(), 'hello');
    const three = await run('dcat', [`${uri}/a/b`], 'x');
    assert.equal([three.status, three.stderr], [3, 'trouble\n']);
    assert.is((await run('dls', [uri])).stdout.toString(), 'a/b/three.box...0\necho.box...0\n');
    assert.is((await run('dls', ['-1f', uri])).stdout.toString(), `${uri}/a/b/three.box...0\n`);
    assert.match((await run('dls', ['-l', `${uri}/echo`])).stdout.toString(), /^alive +0\/64 echo\.box\.\.\.0\n$/);
    assert.is(JSON.parse((await run('dls', ['--json', `${uri}/echo`])).stdout.toString()).origin, `${uri}/echo.box...0`);
    assert.is((await run('dls', [`${uri}/none`])).status, 1);
    assert.is((await run('dcat', [`${uri}/none`])).status, 127);
    const watch = sandbox.start('dls', ['-w', uri]);
    assert.is(await watch.line(), '+ a/b/three.box...0');
    assert.is(await watch.line(), '+ echo.box...0');
    await first.stop('SIGKILL');
    assert.is(await watch.line(promised(1000)), '- a/b/three.box...0');
    await program.stop();
    assert.is((await watch.ended).status, 1);
    const gone = await run('dcat', [`${uri}/echo`]);
    assert.equal([gone.status, gone.stderr], [125, `dcat: cannot connect to ${uri}/echo: connection refused\n`]);
  });
});

test('the loss of an exporter that is killed is seen at once, and it is found again', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const there = await exporter(sandbox);
    const here = importer(sandbox, there.uri);
    for (let round = 0, exporting = there.program; round < rounds(2, 20); round++) {
      // A host that goes so often is tried less and less often.
      await here.has(1, 40_000);
      await exporting.stop('SIGKILL');
      await here.has(0, promised(1000));
      exporting = sandbox.start('dexport', ['--user', 'root', '-l', `127.0.0.1:${there.port}`]);
      await exporting.line();
    }
    await here.has(1, 40_000);
    assert.is((await here.run('dcat', ['echo'], 'again')).stdout.toString(), 'again');
  });
}, 60_000);

test('open streams outlive a lost watch', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const there = await exporter(sandbox, '--grace', '20');
    const here = importer(sandbox, there.uri);
    await here.has(1);
    const client = here.start('dcat', ['echo']);
    client.child.stdin!.write('one\n');
    assert.is(await client.line(), 'one');
    there.program.signal('SIGTERM');
    await here.has(0, promised(1000));
    client.child.stdin!.end('two\n');
    assert.is(await client.line(), 'two');
    assert.is((await client.ended).status, 0);
    assert.is((await there.program.ended).status, 0);
  });
});

test('SIGTERM lets open streams finish', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const there = await exporter(sandbox);
    const here = importer(sandbox, there.uri);
    const path = `${here.root}/${(await here.has(1))[0]}`;
    const half = Buffer.alloc(4 << 20);
    const streams = Array.from({ length: 5 }, () => {
      const socket = connect({ path, allowHalfOpen: true });
      let got = 0;
      socket.on('error', () => {}).on('data', (chunk) => (got += chunk.length));
      socket.write(half);
      return { socket, got: () => got };
    });
    await eventually('the first halves', () => streams.every(({ got }) => got() === half.length), 60_000);
    const stopped = here.program.stop();
    await here.has(0, promised(1000));
    const ended = streams.map(({ socket }) => once(socket, 'close'));
    for (const { socket } of streams) socket.end(half);
    await Promise.all(ended);
    for (const { got } of streams) assert.is(got(), 2 * half.length);
    assert.is((await stopped).status, 0);
  });
}, 90_000);

test('more connections than the descriptors allow: nobody dies, and it recovers', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo', '-n', '200');
    const there = await exporter(sandbox);
    const root = `${sandbox.dir}/b`;
    const env = { ...sandbox.env, DIPUS_ROOT: root };
    const program = sandbox.start('bash', ['-c', `ulimit -n 64; exec dimport ${there.uri}`], { env });
    await program.line();
    const path = `${root}/${sockets(root)[0]}`;
    const held = Array.from({ length: 100 }, () => connect({ path, allowHalfOpen: true }));
    const settled = held.map((socket) => new Promise((done) => socket.once('data', done).once('close', done)));
    for (const socket of held) socket.on('error', () => {}).write('x');
    await Promise.all(settled);
    const open = held.filter((socket) => !socket.destroyed).length;
    assert.ok(open > 5 && open < 64, `${open} of 100 are open`);
    for (const socket of held) socket.destroy();
    const answer = async (): Promise<boolean> => (await sandbox.run('dcat', ['echo'], 'after', { env })).stdout.toString() === 'after';
    await eventually('an answer', answer, 30_000);
    assert.is((await program.stop()).status, 0);
    assert.is(there.program.child.exitCode, null);
  });
}, 90_000);

test('--once ends with 1 when the host goes, or is not there', async () => {
  await withSandbox(async (sandbox) => {
    const there = await exporter(sandbox);
    await offer(sandbox, 'cat', 'echo');
    const here = importer(sandbox, '--once', there.uri);
    await here.has(1);
    await there.program.stop();
    assert.is((await here.program.ended).status, 1);
    assert.equal(sockets(here.root), []);
    const none = await here.run('dimport', ['--once', there.uri]);
    assert.equal([none.status, none.stderr], [1, `dimport: cannot connect to ${there.uri}/?watch: connection refused\n`]);
  });
});

test('hosts from stdin come and go, and stay at its end', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const { uri } = await exporter(sandbox);
    const here = importer(sandbox, '-');
    const tell = (line: string): void => void here.program.child.stdin!.write(`${line}\n`);
    tell(`+ ${uri}`);
    await here.has(1);
    tell(`- ${uri}`);
    await here.has(0);
    tell('+ nonsense');
    await here.program.says(/^dimport: cannot read stdin: URI "nonsense": is not a URI\n/);
    tell(uri);
    await here.has(1);
    here.program.child.stdin!.end();
    await sleep(300);
    assert.is((await here.run('dcat', ['echo'], 'still')).stdout.toString(), 'still');
  });
});

test('with --seps it takes no other hosts from stdin, and says so', async () => {
  await withSandbox(async ({ run }) => {
    const { status, stderr } = await run('dimport', ['--seps', '-'], '+ sep://box:1\n- sep://box:1\n');
    assert.equal([status, stderr], [1, 'dimport: cannot trust sep://box:1: it is not seps://, so whoever is on the network may be it\n']);
    assert.match((await run('dimport', ['--seps', 'seps://box'])).stderr, /^dimport: --seps goes with - only$/m);
  });
});

test('ends where nothing is left that it could import from', async () => {
  await withSandbox(async ({ run }) => {
    const bad = await run('dimport', ['-'], 'nonsense\nhttp://box\n\n');
    assert.is(bad.status, 1);
    assert.is(bad.stderr.split('\n').length, 3);
    assert.equal([(await run('dimport', ['-'])).status, (await run('dimport', ['-'], 'sep://box\n- sep://box\n')).status], [0, 0]);
  });
});

/** What `socat` gets of a socket at a path. */
function socatAt({ run }: Sandbox, path: string, input: string): ReturnType<Sandbox['run']> {
  return run('socat', ['-t', '30', '-', `UNIX-CONNECT:${path}`], input);
}

test('--at: the first import that answers has a socket at a place of its own, and then the next', async () => {
  await withSandbox(async (sandbox) => {
    const place = `${sandbox.dir}/.s.PGSQL.5432`;
    const there = await exporter(sandbox);
    const here = importer(sandbox, '--at', `${place}=db/postgres`, '--at', `${sandbox.dir}/none=none`, there.uri);
    await offer(sandbox, 'cat', 'other/db');
    assert.match(await here.program.line(), /^\+ [^/]+\/db\/other/);
    const first = await offer(sandbox, 'sed s/^/first:/', 'postgres/db');
    assert.match(await here.program.line(), /^\+ [^/]+\/db\/postgres\.127\.0\.0\.1\.\.\.0$/);
    assert.is(await here.program.line(), `+ ${place}`);
    const { mode } = statSync(place);
    assert.is(mode & 0o777, 0o600);
    assert.is((await socatAt(sandbox, place, 'select')).stdout.toString().trimEnd(), 'first:select');
    assert.is((await here.run('dcat', [place], 'select')).stdout.toString().trimEnd(), 'first:select');

    await offer(sandbox, 'sed s/^/second:/', 'postgres/db');
    assert.match(await here.program.line(), /^\+ .*postgres\.127\.0\.0\.1\.\.\.1$/);
    assert.is((await socatAt(sandbox, place, 'x')).stdout.toString().trimEnd(), 'first:x');
    await first.stop();
    assert.match(await here.program.line(), /^- .*postgres\.127\.0\.0\.1\.\.\.0$/);
    assert.is(await here.program.line(), `- ${place}`);
    assert.is(await here.program.line(), `+ ${place}`);
    assert.is((await socatAt(sandbox, place, 'x')).stdout.toString().trimEnd(), 'second:x');

    const { status, stdout, stderr } = await here.program.stop();
    assert.equal([status, stderr], [0, '']);
    assert.match(stdout.toString(), new RegExp(`\n- ${place}\n`));
    assert.not.ok(existsSync(place));
    assert.equal(leftIn(sandbox.dir), []);
  });
});

/** Places, and what is left of making them, in a folder. */
function leftIn(dir: string): string[] {
  return readdirSync(dir).filter((name) => /^\.|^at$/.test(name));
}

test('--at: killed and started again, by signals, with hosts from stdin', async () => {
  await withSandbox(async (sandbox) => {
    const place = `${sandbox.dir}/at`;
    await offer(sandbox, 'tr a-z A-Z', 'upper');
    const there = await exporter(sandbox);
    for (const signal of ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      const here = importer(sandbox, `--at=at=upper`, '-');
      here.program.child.stdin!.write(`+ ${there.uri}\n`);
      await eventually('the place', () => here.program.stdout.toString().includes(`+ ${place}\n`));
      assert.is((await socatAt(sandbox, place, 'x')).stdout.toString(), 'X', signal);
      if (signal === 'SIGTERM') {
        here.program.child.stdin!.write(`- ${there.uri}\n`);
        await eventually('it is gone', () => here.program.stdout.toString().includes(`- ${place}\n`) && !existsSync(place));
        here.program.child.stdin!.write(`${there.uri}\n`);
        await eventually('it is back', () => existsSync(place));
      }
      const { stderr } = await here.program.stop(signal);
      assert.is(stderr, '');
      assert.is(existsSync(place), signal === 'SIGKILL', signal);
    }
    assert.equal(leftIn(sandbox.dir), []);
  });
});

test('--at: what is there stays there, and when it has gone the place is taken', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'tr a-z A-Z', 'upper');
    const there = await exporter(sandbox);
    const place = `${sandbox.dir}/at`;
    const living = createServer((socket) => socket.on('error', () => {}).end('living')).listen(`${sandbox.dir}/living`);
    await once(living, 'listening');
    const makers: [string, () => void, RegExp][] = [
      ['a file', () => writeFileSync(place, 'precious'), /in use by something that is no socket/],
      ['a directory', () => mkdirSync(place), /in use by something that is no socket/],
      ['a link', () => symlinkSync(`${sandbox.dir}/living`, place), /in use by something that is no socket/],
      ['a living socket', () => linkSync(`${sandbox.dir}/living`, place), /in use/],
    ];
    for (const [what, make, reason] of makers) {
      make();
      const before = lstatSync(place);
      const here = importer(sandbox, '--at', `${place}=upper`, there.uri);
      await here.program.says(new RegExp(`^dimport: .*${place}: ${reason.source}\n$`));
      assert.is((await here.run('dcat', ['upper'], 'x')).stdout.toString(), 'X');
      assert.equal([lstatSync(place).ino, lstatSync(place).mtimeMs], [before.ino, before.mtimeMs], what);
      rmSync(place, { recursive: true });
      await eventually('the place', () => here.program.stdout.toString().includes(`+ ${place}\n`));
      assert.is((await socatAt(sandbox, place, 'x')).stdout.toString(), 'X', what);
      // What takes its place is left alone at the end, and told as gone.
      rmSync(place);
      writeFileSync(place, 'precious');
      await eventually('it is missed', () => here.program.stdout.toString().includes(`- ${place}\n`));
      assert.is((await here.program.stop()).status, 0);
      assert.is(readFileSync(place, 'utf8'), 'precious');
      rmSync(place);
    }
    const none = importer(sandbox, '--at', `${sandbox.dir}/no/where=upper`, there.uri);
    await none.program.says(/^dimport: .*\/no\/where: no such file or directory\n$/);
    assert.is((await none.program.stop()).stderr.split('\n').length, 2);
    living.close();
  });
});

test('--at: values that make no sense', async () => {
  await withSandbox(async ({ run }) => {
    const cases: [string, RegExp][] = [
      ['x', /--at x: not PATH=SERVICE/],
      ['x=', /--at x=: not PATH=SERVICE/],
      ['=x', /--at =x: not PATH=SERVICE/],
      ['/tmp/=x', /PATH is that of a directory/],
      ['x=/run/y', /SERVICE is a name or a protocol/],
      ['x=sep://box/y', /SERVICE is a name or a protocol/],
      [`${'x'.repeat(200)}=y`, /PATH is longer than \d+ bytes/],
    ];
    for (const [value, reason] of cases) {
      const { status, stderr } = await run('dimport', ['--at', value, 'sep://box']);
      assert.is(status, 2, value);
      assert.match(stderr.split('\n')[0]!, reason, value);
    }
    assert.is((await run('dimport', ['--at', 'x=a', '--at', './x=b', 'sep://box'])).status, 2);
  });
});

test('does not ask an ssh host all the time', async () => {
  await withSandbox(async ({ run }) => {
    for (const seconds of ['0', '0.01']) {
      const { status, stderr } = await run('dimport', ['--poll', seconds, 'ssh://box']);
      assert.equal([status, stderr.split('\n')[0]], [2, 'dimport: --poll needs at least 0.1']);
    }
  });
});

test('ends at once where a host is silent', async () => {
  await withSandbox(async (sandbox) => {
    const silent = await hostile(sandbox, 'silent');
    const here = importer(sandbox, '-v', silent.uri);
    await here.program.says(/descriptors/);
    await sleep(300);
    const began = Date.now();
    assert.is((await here.program.stop()).status, 0);
    assert.ok(Date.now() - began < promised(2000) / 4, `${Date.now() - began} ms`);
  });
});

test('a pause of the whole process is no silence of the host', async () => {
  await withSandbox(
    async (sandbox) => {
      await offer(sandbox, 'cat', 'echo');
      const there = await exporter(sandbox);
      const here = importer(sandbox, there.uri);
      await here.has(1);
      const stream = connect(`${here.root}/${sockets(here.root)[0]}`);
      stream.write('one\n');
      assert.is(String((await once(stream, 'data'))[0]), 'one\n');
      here.program.signal('SIGSTOP');
      await sleep(4500);
      here.program.signal('SIGCONT');
      stream.write('two\n');
      assert.is(String((await once(stream, 'data'))[0]), 'two\n');
      stream.destroy();
      assert.is(here.program.stderr, '');
      await here.has(1);
    },
    // A ping every 1.5 s: silence is told after 3.2.
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test('very many of one name get their numbers without searching', async () => {
  await withSandbox(async (sandbox) => {
    const evil = await hostile(sandbox, 'one-name');
    const here = importer(sandbox, evil.uri);
    const count = rounds(300, 4000);
    await eventually('all', () => sockets(here.root).length === count, 80_000);
    const began = process.hrtime.bigint();
    await here.program.stop();
    assert.ok(Number(process.hrtime.bigint() - began) < 60e9);
    assert.equal(sockets(here.root), []);
  });
}, 120_000);

test('an exporter that means ill', async () => {
  await withSandbox(async (sandbox) => {
    await offer(sandbox, 'cat', 'echo');
    const good = await exporter(sandbox);
    const kinds = ['names', 'many', 'broken', 'silent', ...(isLong ? ['flapping', 'endless', 'rubbish'] : [])];
    for (const kind of kinds) {
      const evil = await hostile(sandbox, kind);
      const here = importer(sandbox, evil.uri, good.uri);
      await eventually('the good one', () => sockets(here.root).some((file) => file.includes('/echo.')));
      if (kind === 'many') await eventually('many', () => sockets(here.root).length > 1000, 30_000);
      else await sleep(rounds(700, 5000));
      const { status, stdout, stderr } = await here.run('dcat', ['-v', 'echo'], kind);
      assert.equal([status, stdout.toString()], [0, kind], stderr);
      const found = below(here.root).filter((file) => /evil/.test(file));
      assert.equal(found, [], kind);
      assert.not.ok(existsSync(`${sandbox.dir}/evil.box...0`));
      if (kind === 'names' || kind === 'broken') assert.ok(sockets(here.root).some((file) => file.includes('good.')));
      const peak = peakBytes(here.program.pid);
      assert.ok(peak < 150e6, `${kind}: ${peak} bytes`);
      const lines = here.program.stderr.split('\n').filter(Boolean);
      assert.is(new Set(lines).size, lines.length, `${kind}: each cause once: ${here.program.stderr}`);
      assert.ok(lines.length < 10, here.program.stderr);
      assert.is((await here.program.stop()).status, 0, kind);
      assert.equal(sockets(here.root), [], kind);
      await evil.program.stop('SIGKILL');
    }
  });
}, 120_000);

test('two missed pings end the imports, and open streams as errors', async () => {
  await withSandbox(
    async (sandbox) => {
      await offer(sandbox, 'cat', 'echo');
      const there = await exporter(sandbox);
      const here = importer(sandbox, there.uri);
      await here.has(1);
      const client = here.start('dcat', ['echo']);
      client.child.stdin!.write('one\n');
      await client.line();
      there.program.signal('SIGSTOP');
      await here.has(0, promised(35_000 * 0.1));
      assert.is((await client.ended).status, 125);
      there.program.signal('SIGCONT');
      await here.has(1, promised(35_000 * 0.1));
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test('kills and restarts of everything: no imported socket refuses for long', async () => {
  await withSandbox(async (sandbox) => {
    let service = await offer(sandbox, 'cat', 'echo');
    const there = await exporter(sandbox);
    let exporting: Program = there.program;
    const importing = importer(sandbox, there.uri);
    let here = importing;
    let isOver = false;
    const looked = lookForLies(importing.root, () => isOver);
    for (let round = 0; round < rounds(3, 200); round++) {
      const which = Math.floor(Math.random() * 3);
      await here.has(1, 35_000);
      if (which === 0) {
        await service.stop('SIGKILL');
        service = await offer(sandbox, 'cat', 'echo');
      } else if (which === 1) {
        await exporting.stop('SIGKILL');
        exporting = sandbox.start('dexport', ['--user', 'root', '-l', `127.0.0.1:${there.port}`]);
        await exporting.line();
      } else {
        // Its own sockets are dead then until it is back: only a next one takes them away.
        await here.program.stop();
        here = importer(sandbox, there.uri);
      }
    }
    isOver = true;
    assert.ok((await looked) <= 1000);
  });
}, 180_000);

/** The longest time, in ms, that one socket was there and refused, or led nowhere. */
async function lookForLies(root: string, isOver: () => boolean): Promise<number> {
  const since = new Map<string, number>();
  let longestMs = 0;
  while (!isOver()) {
    const there = new Map(sockets(root).map((file) => [`${file} ${statSync(`${root}/${file}`, { throwIfNoEntry: false })?.ino}`, file]));
    // What has gone is forgotten: the number of its file is soon another's.
    for (const key of since.keys()) if (!there.has(key)) since.delete(key);
    for (const [key, file] of there) {
      if (await leads(`${root}/${file}`)) since.delete(key);
      else {
        const began = since.get(key) ?? Date.now();
        since.set(key, began);
        longestMs = Math.max(longestMs, Date.now() - began);
      }
    }
    await sleep(20);
  }
  return longestMs;
}

/** Whether a byte sent to an imported echo comes back, or the socket is gone by now. */
function leads(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ path });
    const settle = (leadsThere: boolean): void => {
      socket.destroy();
      done(leadsThere || !existsSync(path));
    };
    socket.once('data', () => settle(true)).once('close', () => settle(false));
    socket.on('error', () => {}).write('x');
  });
}

async function hostile(sandbox: Sandbox, kind: string): Promise<{ program: Program; uri: string }> {
  const program = sandbox.start(process.execPath, [resolve('tests/hostile-exporter.mjs'), kind]);
  return { program, uri: `sep://127.0.0.1:${await program.line()}` };
}

test.run();
