// Services whose programs have the connections of other hosts themselves: dserve --direct.
import { existsSync, openSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { openDescriptor, sendDescriptor } from '@dipus/descriptors/passing';
import { passPreface } from '@dipus/proto/control';
import { eventually, rounds, sleep, suite, withSandbox, type Program, type Sandbox } from './harness.ts';
import { commandOf, descendantsOf, openDescriptors, programsOf } from './processes.ts';
import { exporter, importer, offer, promised, talk, upgradeTo, type Exporter } from './sep-pair.ts';
import { controlOf } from './services.ts';

const test = suite('direct');

const token = 'd1'.repeat(16);

/** Services with `--direct`, by their commands, and an exporter of them. */
async function direct(sandbox: Sandbox, ...services: [string, string][]): Promise<Exporter & { readonly serving: Program[] }> {
  const serving: Program[] = [];
  for (const [command, name] of services) serving.push(await offer(sandbox, command, name, '--direct'));
  return { ...(await exporter(sandbox, '-v')), serving };
}

/** Whether a socket, as /proc shows the one that a descriptor is, is one of TCP. */
function isTcp(link: string): boolean {
  const inode = /^socket:\[(\d+)\]$/.exec(link)?.[1];
  return ['/proc/net/tcp', '/proc/net/tcp6'].some((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .some((line) => line.trim().split(/\s+/)[9] === inode),
  );
}

test('the program has the TCP connection, by URI and by import; a plain client, and a service without --direct, have none', async () => {
  await withSandbox(async (sandbox) => {
    const look = 'readlink /proc/$$/fd/0 /proc/$$/fd/1; sleep 0.2';
    const { uri, port } = await direct(sandbox, [look, 'look']);
    await offer(sandbox, look, 'other');
    const imported = importer(sandbox, uri);
    await imported.has(2);
    const seen: boolean[] = [];
    for (const [start, name] of [
      [sandbox.start, `${uri}/look`],
      [imported.start, 'look'],
      [sandbox.start, `${uri}/other`],
      [imported.start, 'other'],
    ] as const) {
      const client = start('dcat', [name]);
      const links = [await client.line(), await client.line()];
      assert.is(links[0], links[1]);
      seen.push(isTcp(links[0]!));
      client.child.stdin!.end();
      assert.is((await client.ended).status, 0);
    }
    assert.equal(seen, [true, true, false, false]);
    const answer = await talk(port, upgradeTo('look.box...0'));
    assert.match(answer, /socket:\[\d+\]\n/);
    assert.not.ok(isTcp(/socket:\[\d+\]/.exec(answer)![0]));
  });
});

test('the smallest request, often: each answer whole, each status true, and nothing is left', async () => {
  await withSandbox(async (sandbox) => {
    const { uri, program, serving } = await direct(sandbox, ['cat', 'echo'], ['cat; echo oops >&2; exit 7', 'seven'], ['true', 'nothing']);
    const imported = importer(sandbox, uri);
    await imported.has(3);
    const ask = async (run: typeof sandbox.run, name: string, input: string): Promise<void> => {
      const { status, stdout, stderr } = await run('dcat', [name], input);
      const isSeven = name.endsWith('seven');
      assert.equal(
        [status, stdout.toString(), stderr],
        name.endsWith('nothing') ? [0, '', ''] : [isSeven ? 7 : 0, input, isSeven ? 'oops\n' : ''],
        name,
      );
    };
    const all = [program, ...serving];
    const before: number[] = [];
    for (let round = 0; round < rounds(12, 200); round++) {
      for (const name of ['echo', 'seven', 'nothing']) {
        for (const input of ['', 'x', 'hello\n', 'y'.repeat(70_000)]) {
          if (round % 4 !== 0 && input.length > 1) continue;
          await ask(sandbox.run, `${uri}/${name}`, input);
          await ask(imported.run, name, input);
        }
      }
      if (round === 0) before.push(...all.map(({ pid }) => openDescriptors(pid)));
    }
    await eventually('no descriptor is left', () => all.every(({ pid }, at) => openDescriptors(pid) <= before[at]! + 2));
  });
}, 240_000);

test('a late answer, one that ends early, one by a program that outlives the first, and much both ways', async () => {
  await withSandbox(async (sandbox) => {
    const { uri } = await direct(
      sandbox,
      ['n=$(wc -c); sleep 2; echo $n', 'late'],
      ['head -c 10', 'first'],
      ['(sleep 1; echo later) & echo now', 'left'],
      ['tr a b', 'change'],
    );
    const much = Buffer.alloc(rounds(3, 300) << 20, 'a');
    const imported = importer(sandbox, uri);
    await imported.has(4);
    for (const [run, way] of [
      [sandbox.run, `${uri}/`],
      [imported.run, ''],
    ] as const) {
      assert.is((await run('dcat', [`${way}late`], '0123456')).stdout.toString(), '7\n');
      assert.is((await run('dcat', [`${way}left`])).stdout.toString(), 'now\nlater\n');
      const { status, stdout } = await run('dcat', [`${way}change`], much);
      assert.equal([status, stdout.length, stdout.indexOf('a')], [0, much.length, -1]);
    }
    for (let round = 0; round < rounds(10, 200); round++) {
      const { status, stdout } = await sandbox.run('sh', ['-c', `yes | dcat ${uri}/first`]);
      assert.equal([status, stdout.toString()], [0, 'y\ny\ny\ny\ny\n'], `round ${round}`);
    }
  });
}, 120_000);

test('whoever is killed, no client takes a part for a whole, and no program is left', async () => {
  for (const victim of ['client', 'exporter', 'service', 'program'] as const) {
    await withSandbox(async (sandbox) => {
      const { uri, program, serving } = await direct(sandbox, ['echo begun; cat; cat /dev/zero', 'stream']);
      const [dserve] = serving as [Program];
      const client = sandbox.start('dcat', [`${uri}/stream`]);
      assert.is(await client.line(), 'begun');
      const [running] = programsOf(dserve.pid);
      const below = [running!, ...descendantsOf(running!)];
      if (victim === 'client') await client.stop('SIGKILL');
      if (victim === 'exporter') await program.stop('SIGKILL');
      if (victim === 'service') await dserve.stop('SIGKILL');
      if (victim === 'program') process.kill(-running!, 'SIGKILL');
      await eventually(`${victim}: its programs are gone`, () => below.every((pid) => commandOf(pid) === ''), promised(6000));
      const { status, signal, stderr } = await client.ended;
      if (victim === 'client') assert.is(signal, 'SIGKILL');
      else if (victim === 'program') assert.is(status, 137);
      else {
        assert.is(status, 125, victim);
        assert.match(stderr, /^dcat: cannot \S+ [^\n]*\n(?:dcat: hint: [^\n]*\n)?$/, victim);
      }
    });
  }
});

test('a reset is an error for the program, and for the client', async () => {
  await withSandbox(async (sandbox) => {
    const { port } = await direct(sandbox, [
      `echo begun; cat > ${sandbox.dir}/part && mv ${sandbox.dir}/part ${sandbox.dir}/whole`,
      'store',
    ]);
    const relay = sandbox.start(process.execPath, [resolve('tests/slow-relay.mjs'), '127.0.0.1', String(port), '0']);
    const client = sandbox.start('dcat', [`sep://127.0.0.1:${await relay.line()}/store`]);
    assert.is(await client.line(), 'begun');
    client.child.stdin!.write('half');
    await eventually('the half', () => existsSync(`${sandbox.dir}/part`) && readFileSync(`${sandbox.dir}/part`, 'utf8') === 'half');
    relay.child.stdin!.write('reset\n');
    assert.is((await client.ended).status, 125);
    await sleep(300);
    assert.not.ok(existsSync(`${sandbox.dir}/whole`));
  });
});

test('what a data connection begins with decides: bytes that come too early are refused as ever', async () => {
  await withSandbox(async (sandbox) => {
    const { port } = await direct(sandbox, ['cat', 'echo']);
    const control = connect(port, '127.0.0.1');
    let told = '';
    control.on('data', (chunk) => (told += chunk.toString('latin1'))).write(upgradeTo('echo.box...0', 'Sep-Socket: control'));
    const start = Buffer.from(`{"token":"${token}"}`);
    control.write(Buffer.concat([Buffer.from('SEP/1 CONTROL\n\x01\0\0\0'), Buffer.from([start.length]), start]));
    await talk(port, `${upgradeTo('echo.box...0', 'Sep-Socket: data')}SEP/1 DATA ${token}\ntoo early`);
    await eventually('the refusal', () => told.includes('data came before STARTED'));
    control.destroy();
  });
});

test('who passes what is no connection, or to whom nothing is to be passed, is refused; nothing is left of it', async () => {
  await withSandbox(async (sandbox) => {
    const taking = await offer(sandbox, 'cat', 'taking', '--direct');
    const other = await offer(sandbox, 'cat', 'other');
    const pass = async (path: string, descriptor?: number): Promise<string> => {
      const carrier = connect(controlOf(path));
      let told = '';
      carrier.on('data', (bytes: Buffer) => {
        told += bytes.toString('latin1');
        if (told === '\n' && descriptor !== undefined) sendDescriptor(carrier, Buffer.from('\0'), descriptor);
      });
      carrier.write(passPreface(token));
      await once(carrier, 'close');
      return told;
    };
    assert.match(await pass(other.path), /it takes no connections/);
    const file = openSync('/dev/null', 'r');
    const before = openDescriptors(taking.pid);
    for (let round = 0; round < 50; round++) assert.is(await pass(taking.path, file), '\n');
    // A UNIX socket is none of TCP.
    const unix = connect(other.path);
    await once(unix, 'connect');
    assert.is(await pass(taking.path, openDescriptor(unix)), '\n');
    unix.destroy();
    const silent = performance.now();
    assert.is(await pass(taking.path), '\n');
    assert.ok(performance.now() - silent < promised(3000));
    await eventually('no descriptor is left', () => openDescriptors(taking.pid) <= before);
    assert.is((await sandbox.run('dcat', [taking.path], 'x')).stdout.toString(), 'x');
  });
});

test('--direct is for exported services without a terminal', async () => {
  await withSandbox(async (sandbox) => {
    const fails = async (...args: string[]): Promise<string> => {
      const { status, stderr } = await sandbox.run('dserve', [...args, 'cat', 'x']);
      assert.is(status, 2);
      return stderr;
    };
    assert.match(await fails('--direct'), /^dserve: --direct is for what is offered to other hosts\ndserve: hint: add -x/);
    assert.match(await fails('-x', '--pty', '--direct'), /^dserve: --direct does not go with --pty: /);
  });
});

test.run();
