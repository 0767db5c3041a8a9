// Services of a host with an sshd: listed, watched, used and imported, and what can go wrong on the way.
import {
  chmodSync,
  chownSync,
  createReadStream,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import type { SessionResult } from '@dipus/session/client-connection';
import { startSession } from '@dipus/session/control-client';
import { openService } from '@dipus/tree/open-service';
import { eventually, rounds, sleep, suite, within, type Ended } from './harness.ts';
import { foreign, withoutDls, withPair, type Pair } from './ssh-pair.ts';
import { hostTests } from './hosts.ts';
import { sockets } from './sep-pair.ts';
import { knownLine, makeKey, noSshd, startSshd, withSshConfig } from './sshd.ts';

const test = suite('ssh');
const onHosts = hostTests(test);
const minute = 60_000;

if (noSshd !== undefined) test.skip('everything', noSshd);
else {
  addLists();
  addStreams();
  addImports();
  addLosses();
  addRefusals();
}

function textOf({ stdout }: Ended): string {
  return stdout.toString();
}

/** It has failed with this line. */
function failed({ status, stderr }: Ended, wanted: number, line: RegExp): void {
  assert.ok(line.test(stderr), `${status} ${stderr}`);
  assert.is(status, wanted, stderr);
}

function addLists(): void {
  test(
    'lists are of the remote tree, in its order',
    () =>
      withPair(async ({ serve, runLocal, uri, root }) => {
        await serve('cat', 'echo');
        const wav = await serve('-x', '-n', '7', 'cat', 'lame/audio/x-wav/to/audio/mpeg');
        await wav.stop('SIGKILL');
        await serve('-x', 'cat', 'lame/audio/x-wav/to/audio/ogg');
        const list = async (...args: string[]): Promise<string> => textOf(await runLocal('dls', args));
        assert.is(await list(uri()), 'local/echo.box...0\nexported/audio/x-wav/to/audio/ogg/lame.box...0\n');
        assert.is(
          await list('-a', uri('lame')),
          'exported/audio/x-wav/to/audio/mpeg/lame.box...0  (dead)\nexported/audio/x-wav/to/audio/ogg/lame.box...0\n',
        );
        assert.is(await list('-1f', uri()), `ssh://box/local/echo.box...0?root=${root}\n`);
        assert.is(await list('-l', uri('echo')), 'alive 0/64 local/echo.box...0\n');
        assert.is(await list(uri('exported')), 'exported/audio/x-wav/to/audio/ogg/lame.box...0\n');
        const { path, area, control, state, origin } = JSON.parse(await list('--json', uri('echo')));
        assert.equal([path, area, control, state], ['echo.box...0', 'local', true, 'alive']);
        assert.is(origin, `ssh://box/local/echo.box...0?root=${root}`);
        const none = await runLocal('dls', [uri('none')]);
        assert.equal([none.status, textOf(none), none.stderr], [1, '', '']);
      }),
    minute,
  );

  for (const [way, setting] of [
    ['told by dls there', {}],
    ['seen by polling', withoutDls],
  ] as const) {
    test(
      `changes are ${way}`,
      () =>
        withPair(
          async ({ serve, startLocal, uri }) => {
            const first = await serve('cat', 'first/a/b');
            const watch = startLocal('dls', '-w', uri());
            assert.is(await watch.line(30_000), '+ local/a/b/first.box...0');
            // Again and again in one directory, faster than mtime can tell.
            for (let round = 0; round < rounds(2, 30); round++) {
              const second = await serve('cat', 'second/a');
              assert.is(await watch.line(30_000), '+ local/a/second.box...0');
              await second.stop(round % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
              assert.is(await watch.line(30_000), '- local/a/second.box...0');
            }
            await first.stop();
            assert.is(await watch.line(30_000), '- local/a/b/first.box...0');
          },
          setting,
          { DIPUS_TIME_SCALE: '0.3' },
        ),
      2 * minute,
    );
  }

  test(
    'nobody else is trusted, and only names are names',
    () =>
      withPair(async ({ serve, runLocal, uri, root, dir }) => {
        const { path } = await serve('cat', 'mine');
        const local = `${root}/local`;
        const theirs = await foreign(`${local}/theirs.box...0`, (connection) => connection.end('theirs'));
        chownSync(`${local}/theirs.box...0`, 4321, 4321);
        mkdirSync(`${local}/open`);
        const inOpen = await foreign(`${local}/open/mine.box...0`, (connection) => connection.end('open'));
        chmodSync(`${local}/open`, 0o777);
        linkSync(path, `${local}/linked.box...0`);
        symlinkSync(path, `${local}/symbolic.box...0`);
        symlinkSync(`${local}/open`, `${local}/aside`);
        const evil = await foreign(`${dir}/evil`, (connection) => connection.end());
        renameSync(`${dir}/evil`, `${local}/evil\n+ x.box...0`);
        writeFileSync(`${local}/file.box...0`, '');
        // What somebody else has put beside a service is no control socket of it.
        const printer = await foreign(`${local}/printer.box...0`, (connection) => connection.end('printer'));
        const forged = await foreign(`${local}/.printer.box...0`, (connection) => connection.end('forged'));
        chownSync(`${local}/.printer.box...0`, 4321, 4321);
        const list = async (...args: string[]): Promise<string[]> =>
          textOf(await runLocal('dls', args))
            .split('\n')
            .toSorted();
        assert.equal(await list(uri()), ['', 'local/printer.box...0']);
        assert.match((await list('--json', uri())).join(''), /"control":false/);
        assert.is(textOf(await runLocal('dcat', [uri('printer')])), 'printer');
        assert.equal(await list('-a', uri()), [
          '',
          'local/linked.box...0  (untrusted: has more than one hard link)',
          'local/mine.box...0  (untrusted: has more than one hard link)',
          'local/open/mine.box...0  (untrusted: directory open is writable by everybody and not sticky)',
          'local/printer.box...0',
          'local/theirs.box...0  (untrusted: belongs to uid 4321)',
        ]);
        assert.is((await runLocal('dcat', [uri('theirs')])).status, 127);
        assert.is(textOf(await runLocal('dcat', [uri('theirs.box...0')])), 'theirs');
        for (const server of [theirs, inOpen, evil, printer, forged]) server.close();
      }),
    minute,
  );
}

function addStreams(): void {
  test(
    'status, stderr, signals and both half-closes come through',
    () =>
      withPair(async ({ serve, startLocal, runLocal, uri }) => {
        await serve('cat >/dev/null; echo trouble >&2; echo late; exit 3', 'three');
        await serve('exec kill -9 $$', 'killed');
        await serve('head -c 5; exit 4', 'early');
        await serve('exec >&-; cat >&2; exit 6', 'deaf');
        await serve('trap "echo caught; exit 5" INT; echo up; while :; do sleep 0.05; done', 'trap');
        const three = await runLocal('dcat', [uri('three')], 'x');
        assert.equal([three.status, textOf(three), three.stderr], [3, 'late\n', 'trouble\n']);
        assert.is((await runLocal('dcat', [uri('killed')])).status, 137);
        const early = await runLocal('dcat', [uri('early')], Buffer.alloc(rounds(8, 512) << 20, 'early'));
        assert.equal([early.status, textOf(early)], [4, 'early']);
        const deaf = await runLocal('dcat', [uri('deaf')], 'input after the end of the answer');
        assert.equal([deaf.status, deaf.stderr], [6, 'input after the end of the answer']);
        const trap = startLocal('dcat', uri('trap'));
        assert.is(await trap.line(30_000), 'up');
        trap.signal('SIGINT');
        assert.is((await trap.ended).status, 5);
        assert.is((await runLocal('dcat', [uri('none')])).status, 127);
        await serve('cat', 'echo');
        const shell = (script: string): Promise<Ended> =>
          runLocal('sh', ['-c', script.replaceAll('ECHO', `'${uri('echo')}'`)], Buffer.alloc(4 << 20));
        const full = await shell('dcat ECHO >/dev/full');
        assert.equal([full.status, full.stderr], [125, 'dcat: cannot write to stdout: no space left on device\n']);
        // A pipe that others write to as well, and a reader that is slow, or goes.
        assert.is(textOf(await shell('{ dcat ECHO; printf end; } | { sleep 0.3; wc -c; }')), `${(4 << 20) + 3}\n`);
        assert.is(textOf(await shell('yes | dcat ECHO | head -n 1')), 'y\n');
      }),
    2 * minute,
  );

  test(
    'a foreign service is used as it is',
    () =>
      withPair(async ({ runLocal, startLocal, has, uri, root }) => {
        const upper = await foreign(`${root}/local/upper.box...0`, (connection) => {
          const chunks: Buffer[] = [];
          connection.on('data', (chunk) => chunks.push(chunk));
          connection.on('end', () => connection.end(Buffer.concat(chunks).toString().toUpperCase()));
        });
        const speaker = await foreign(`${root}/local/speaker.box...0`, (connection) => connection.end('said'));
        for (const isImported of [false, true]) {
          if (isImported) startLocal('dimport', uri());
          if (isImported) await has(2);
          const ask = (name: string): string => (isImported ? `${name}.box` : uri(name));
          const answer = await runLocal('dcat', [ask('upper')], 'both ways');
          assert.equal([answer.status, textOf(answer), answer.stderr], [0, 'BOTH WAYS', '']);
          // Its end is the end, though our input has none.
          const idle = startLocal('dcat', ask('speaker'));
          assert.equal([(await idle.ended).status, idle.stdout.toString()], [0, 'said']);
        }
        upper.close();
        speaker.close();
      }),
    2 * minute,
  );

  test(
    'what goes in comes out',
    () =>
      withPair(
        async ({ serve, runLocal, startLocal, has, uri, dir }) => {
          await serve('cat', 'echo');
          const bytes = randomBytes(1 << 20);
          const file = `${dir}/input`;
          for (let at = 0; at < rounds(16, 1024); at++) writeFileSync(file, bytes, { flag: 'a' });
          const wanted = await digestOf(runShell(`cat ${file}`));
          const dcat = (ask: string): string => `dcat '${ask}' ${file}`;
          assert.is(await digestOf(runShell(dcat(uri('echo')))), wanted);
          startLocal('dimport', uri());
          await has(1);
          assert.is(await digestOf(runShell(dcat('echo.box'))), wanted);
          const plain = (await runLocal('dls', ['-1f', 'echo.box'])).stdout.toString().trim();
          const socket = connect({ path: plain, allowHalfOpen: true });
          const hash = createHash('sha256');
          socket.on('data', (chunk) => hash.update(chunk));
          createReadStream(file).pipe(socket);
          await once(socket, 'end');
          assert.is(hash.digest('hex'), wanted);

          function runShell(script: string): Promise<Ended> {
            return runLocal('sh', ['-c', `${script} | sha256sum`]);
          }
          async function digestOf(ended: Promise<Ended>): Promise<string> {
            const { stdout, stderr } = await ended;
            assert.is(stderr, '');
            return stdout.toString().slice(0, 64);
          }
        },
        { config: ['RekeyLimit 4M'] },
      ),
    2 * minute,
  );
}

function addImports(): void {
  test(
    'a remote service is a socket here, with all that belongs to it',
    () =>
      withPair(async ({ serve, startLocal, runLocal, has, uri, local, root }) => {
        await serve('-n', '7', 'trap "echo caught; exit 5" INT; echo up; while :; do sleep 0.05; done', 'trap/some/where');
        await serve('-x', 'cat >/dev/null; echo trouble >&2; exit 3', 'three');
        const imports = startLocal('dimport', uri());
        const found = await has(2);
        const user = found[0]!.split('/')[0]!;
        assert.equal(found.toSorted(), [`${user}/some/where/trap.box...0`, `${user}/three.box...0`]);
        for (const file of found) assert.is(statSync(`${local}/${file}`).mode & 0o777, 0o600);
        assert.is(statSync(`${local}/${user}`).mode & 0o777, 0o700);
        const three = await runLocal('dcat', ['three'], 'x');
        assert.equal([three.status, three.stderr], [3, 'trouble\n']);
        const trap = startLocal('dcat', 'trap');
        assert.is(await trap.line(30_000), 'up');
        const long = textOf(await runLocal('dls', ['-l', 'trap']));
        assert.match(long, /^alive 1\/7 srw-------.*trap\.box\.\.\.0 +ssh:/);
        assert.ok(long.includes(` ssh://box/local/some/where/trap.box...0?root=${root}\n`), long);
        trap.signal('SIGINT');
        assert.is((await trap.ended).status, 5);
        assert.is((await imports.stop()).status, 0);
        assert.equal(sockets(local), []);
      }),
    minute,
  );

  test(
    'a remote terminal has the size of ours',
    () =>
      withPair(async ({ serve, startLocal, has, uri, local }) => {
        await serve('--pty', 'stty size; read line; stty size', 'sizes');
        startLocal('dimport', uri());
        const file = `${local}/${(await has(1))[0]!}`;
        let started!: (tty: boolean) => void;
        let ended!: (outcome: SessionResult) => void;
        const hasStarted = new Promise<boolean>((resolve) => (started = resolve));
        const outcome = new Promise<SessionResult>((resolve) => (ended = resolve));
        const terminal = { cols: 91, rows: 33, term: 'xterm' };
        const session = await startSession(
          () => openService({ file }, 'control'),
          { tty: terminal },
          { started, waiting: () => {}, stderr: () => {}, ended },
        );
        assert.is(await within(30_000, 'STARTED', hasStarted), true);
        let text = '';
        session.data.on('data', (chunk: Buffer) => (text += chunk)).resume();
        await eventually('the first size', () => /33 91/.test(text));
        session.resize({ cols: 70, rows: 20 });
        session.data.write('\n');
        await eventually('the second size', () => /20 70/.test(text));
        assert.equal(await within(30_000, 'EXIT', outcome), { exit: { code: 0 } });
        session.data.destroy();
      }),
    minute,
  );

  test(
    '100 services and 200 streams over one connection, a slow reader among them',
    () =>
      withPair(async ({ start, startLocal, has, uri, local, sshd, dir }) => {
        const lines = Array.from({ length: 100 }, (_, at) => `echo${at}/group${at % 7} cat\n`);
        writeFileSync(`${dir}/services`, lines.join(''));
        const serving = start('dserve', ['--from', `${dir}/services`]);
        await eventually('all services', () => serving.stdout.toString().endsWith('ready\n'), 30_000);
        startLocal('dimport', uri());
        const files = (await has(100, 60_000)).map((file) => `${local}/${file}`);
        // One that never reads: what it does not take stays where it came from.
        const slow = connect({ path: files[0]!, allowHalfOpen: true }).on('error', () => {});
        slow.pause();
        let sentBytes = 0;
        const feed = (): void => {
          while (slow.write(Buffer.alloc(65_536), () => (sentBytes += 65_536)));
        };
        slow.on('drain', feed);
        feed();
        const message = randomBytes(rounds(64, 4096) << 10);
        const streams = Array.from({ length: 200 }, async (_, at) => {
          const socket = connect({ path: files[at % 100]!, allowHalfOpen: true });
          const answer: Buffer[] = [];
          socket.on('data', (chunk: Buffer) => answer.push(chunk));
          socket.end(message);
          await once(socket, 'end');
          assert.ok(Buffer.concat(answer).equals(message));
        });
        await Promise.all(streams);
        assert.ok(sentBytes < 64 << 20, `${sentBytes} bytes were taken for a reader that does not read`);
        assert.is(sshd.program.stderr.match(/Accepted publickey/g)!.length, 1);
        slow.destroy();
      }),
    2 * minute,
  );

  test(
    'dcat uses what is imported, and its connection',
    () =>
      withPair(async ({ serve, startLocal, runLocal, has, uri, sshd }) => {
        await serve('-x', 'cat', 'echo/some/where');
        startLocal('dimport', uri());
        await has(1);
        for (const ask of ['echo', 'some/where', 'exported/some', 'some/where/echo.box...0', '**/echo', '']) {
          const { stdout, stderr } = await runLocal('dcat', ['-v', uri(ask)], 'shared');
          assert.equal([stdout.toString(), /imported already/.test(stderr)], ['shared', true], stderr);
        }
        assert.is(sshd.program.stderr.match(/Accepted publickey/g)!.length, 1);
        for (const ask of ['local/some', 'other']) assert.is((await runLocal('dcat', [uri(ask)], '')).status, 127);
        assert.match((await runLocal('dcat', ['-v', uri('echo').replace('ssh://', 'ssh://root@')], 'x')).stderr, /logging in/);
      }),
    minute,
  );

  test(
    'paths of any length are reached, and nothing is left of the way',
    () =>
      withPair(async ({ serve, runLocal, uri }) => {
        const protocol = Array.from({ length: 6 }, (_, at) => `${at}`.repeat(40)).join('/');
        await serve('cat; exit 7', `echo/${protocol}`);
        const { status, stdout } = await runLocal('dcat', [uri('echo')], 'far away');
        assert.equal([status, stdout.toString()], [7, 'far away']);
        assert.equal(
          readdirSync('/tmp').filter((name) => name.startsWith('.dipus-')),
          [],
        );
      }),
    minute,
  );

  test(
    'an import that is killed in the middle is no end for who commits at one',
    () =>
      withPair(async ({ serve, startLocal, runLocal, has, uri, dir }) => {
        await serve('cat >part && mv part whole', 'commit');
        startLocal('dimport', uri());
        await has(1);
        for (let round = 0; round < rounds(2, 60); round++) {
          const client = startLocal('dcat', 'commit');
          client.child.stdin!.write('the first half');
          await eventually('the first half', () => existsSync(`${dir}/part`) && readFileSync(`${dir}/part`).length > 0);
          await client.stop('SIGKILL');
          await eventually(
            'the end of the program',
            async () => textOf(await runLocal('dls', ['-l', 'commit'])).startsWith('alive 0/'),
            30_000,
          );
          assert.not(existsSync(`${dir}/whole`));
          writeFileSync(`${dir}/part`, '');
        }
      }),
    2 * minute,
  );
}

function addLosses(): void {
  test(
    'the loss of an sshd that is killed is seen at once, and it is found again',
    () =>
      withPair(
        async (pair) => {
          const { serve, startLocal, has, uri, sshd } = pair;
          await serve('cat', 'echo');
          const imports = startLocal('dimport', uri());
          const single = startLocal('dimport', '--once', uri());
          await has(2);
          const open = startLocal('dcat', 'echo');
          open.child.stdin!.write('begun\n');
          assert.is(await open.line(30_000), 'begun');
          await killServer(pair);
          await has(0);
          const { status, stderr } = await open.ended;
          assert.is(status, 125, stderr);
          assert.is((await single.ended).status, 1);
          await startSshd(pair, readFileSync(`${sshd.dir}/authorized_keys`, 'utf8'), { port: sshd.port });
          await has(1);
          assert.is((await imports.stop()).status, 0);
        },
        {},
        { DIPUS_TIME_SCALE: '0.5' },
      ),
    2 * minute,
  );

  test(
    'dls -w and dcat say that the host is lost',
    () =>
      withPair(async (pair) => {
        const { serve, startLocal, uri } = pair;
        await serve('cat', 'echo');
        const watch = startLocal('dls', '-w', uri());
        await watch.line(30_000);
        const stream = startLocal('dcat', uri('echo'));
        stream.child.stdin!.write('begun\n');
        await stream.line(30_000);
        await killServer(pair);
        failed(await watch.ended, 1, /^dls: .*ssh:\/\/box: the connection was lost/);
        failed(await stream.ended, 125, /^dcat: .*ssh:\/\/box.*connection/);
      }),
    minute,
  );

  onHosts(
    'silence is no loss while the host is there; a link that is cut is one, and is found again',
    ['local', 'remote'],
    async ({ local, remote }) => {
      mkdirSync(`${local.dir}/keys`, { recursive: true });
      const key = `${local.dir}/keys/own`;
      const port = 2222;
      await startSshd(remote, makeKey(key), { port, config: [`ListenAddress ${remote.address}:${port}`] });
      writeFileSync(`${local.dir}/known`, knownLine(`[${remote.address}]:${port}`, `${remote.dir}/sshd-${port}/host-ed25519.pub`));
      const lines = [
        `HostName ${remote.address}`,
        `Port ${port}`,
        'User root',
        `IdentityFile ${key}`,
        `UserKnownHostsFile ${local.dir}/known`,
      ];
      // 60 s of silence are 9 s, and two missed pings 4.5 s.
      const env = { ...withSshConfig(local, ['Host remote', ...lines]), DIPUS_TIME_SCALE: '0.15' };
      const service = remote.start('dserve', ['cat', 'echo']);
      await service.line(30_000);
      const imports = local.start('dimport', ['-v', `ssh://remote?root=${remote.root}`], { env });
      assert.match(await imports.line(30_000), /^\+ .*\/echo\.remote\.\.\.0$/);
      const stream = local.start('dcat', ['echo'], { env: { ...env, DIPUS_TIME_SCALE: '1' } });
      stream.child.stdin!.write('before\n');
      assert.is(await stream.line(30_000), 'before');
      await sleep(9000);
      stream.child.stdin!.write('after\n');
      assert.is(await stream.line(30_000), 'after');
      remote.cut();
      assert.match(await imports.line(30_000), /^- .*\/echo\.remote\.\.\.0$/);
      assert.is((await stream.ended).status, 125);
      remote.restore();
      assert.match(await imports.line(60_000), /^\+ .*\/echo\.remote\.\.\.0$/);
      assert.is((await imports.stop()).status, 0);
    },
    2 * minute,
  );
}

/** Kills sshd with the processes that it has forked for its connections. */
async function killServer({ sshd }: Pair): Promise<void> {
  const { pid } = sshd.program;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  // They hold its stderr.
  for (const child of [pid, ...children]) process.kill(child, 'SIGKILL');
  await sshd.program.ended;
}

function addRefusals(): void {
  const onePair = (title: string, lines: string[], body: (pair: Pair) => Promise<void>): void =>
    test(title, () => withPair(body, { config: lines }), minute);

  onePair('sshd that forwards no sockets', ['AllowStreamLocalForwarding no'], async ({ serve, startLocal, runLocal, uri }) => {
    await serve('cat', 'echo');
    const line = /ssh:\/\/box\S*: its sshd forwards no sockets \(AllowStreamLocalForwarding, DisableForwarding\)\n$/;
    failed(await runLocal('dls', [uri()]), 1, line);
    failed(await runLocal('dcat', [uri('echo')], 'x'), 125, line);
    await startLocal('dimport', uri()).says(line, 30_000);
  });

  for (const [line, reason] of [
    ['Subsystem other /bin/false', 'it has no sftp subsystem'],
    ['Subsystem sftp /nonexistent', 'it has no SFTP: the SFTP server has ended'],
    ['ForceCommand echo only mail here', 'it has no SFTP: it is not an SFTP server: it says "only mail here"'],
    ['MaxSessions 0', 'its sshd opens no session (MaxSessions): open failed'],
  ] as const)
    onePair(`sshd without sftp: ${reason}`, line.split('\n'), async ({ runLocal, startLocal, uri }) => {
      for (const [tool, status] of [
        ['dls', 1],
        ['dcat', 125],
      ] as const) {
        const { status: own, stderr } = await runLocal(tool, [uri()]);
        const hint = `${tool}: hint: its sshd_config needs the line: Subsystem sftp internal-sftp, and no ForceCommand\n`;
        assert.equal([own, stderr], [status, `${tool}: cannot list the services of ssh://box: ${reason}\n${hint}`]);
      }
      failed(
        await startLocal('dimport', '--once', uri()).ended,
        1,
        /^dimport: cannot list the services of ssh:\/\/box: (?:it has no |its sshd opens no )/,
      );
    });

  test(
    'an sftp server that says nothing, or anything',
    async () => {
      await withPair(
        async ({ runLocal, uri }) => {
          const { stderr, status } = await runLocal('dls', [uri()]);
          assert.match(stderr, /^dls: cannot list the services of ssh:\/\/box: it has no SFTP: no answer within 3 s\n/);
          assert.is(status, 1);
        },
        { config: ['Subsystem sftp /bin/sleep 60'] },
        { DIPUS_TIME_SCALE: '0.3' },
      );
      await withPair(
        async ({ startLocal, uri }) => {
          const imports = startLocal('dimport', uri());
          await imports.says(/it has no SFTP: it is not an SFTP server: it says "y"|it has no SFTP: it sent a packet of \d+ bytes/, 30_000);
          assert.is((await imports.stop()).status, 0);
        },
        { config: ['Subsystem sftp /usr/bin/yes'] },
      );
    },
    2 * minute,
  );

  test(
    'dimport --at: an import at a place of its own',
    () =>
      withPair(async ({ dir, uri, serve, startLocal, run }) => {
        const first = await serve('sed s/^/first:/', 'postgres/db');
        const place = `${dir}/.s.PGSQL.5432`;
        const imports = startLocal('dimport', '--at', `${place}=db/postgres`, uri());
        for (let line = ''; line !== `+ ${place}`;) line = await imports.line();
        const asked = async (): Promise<string> =>
          (await run('socat', ['-t', '30', '-', `UNIX-CONNECT:${place}`], 'x\n')).stdout.toString();
        assert.is(await asked(), 'first:x\n');
        await serve('sed s/^/second:/', 'postgres/db');
        await imports.line();
        await first.stop();
        for (const line of [`- ${place}`, `+ ${place}`]) while ((await imports.line()) !== line);
        assert.is(await asked(), 'second:x\n');
        assert.is((await imports.stop()).status, 0);
        assert.not.ok(existsSync(place));
      }),
    minute,
  );

  test(
    'a host without a tree',
    () =>
      withPair(async ({ root, runLocal, startLocal, serve, has, uri }) => {
        const line = `cannot list the services of ssh://box: it has no directory ${root}\n`;
        for (const [tool, status] of [
          ['dls', 1],
          ['dcat', 125],
        ] as const) {
          const ended = await runLocal(tool, [uri()]);
          assert.ok(ended.stderr.startsWith(`${tool}: ${line}`), ended.stderr);
          assert.is(ended.status, status);
        }
        const imports = startLocal('dimport', '--poll', '0.2', uri());
        await imports.says(/it has no directory/, 30_000);
        await serve('cat', 'echo');
        await has(1);
      }, withoutDls),
    minute,
  );

  test(
    'a service that does not answer',
    () =>
      withPair(async ({ serve, runLocal, uri }) => {
        const gone = await serve('cat', 'gone');
        await gone.stop('SIGKILL');
        failed(
          await runLocal('dcat', [uri('gone')], 'x'),
          127,
          new RegExp(`^dcat: cannot connect to ssh://box/local/gone.box...0.*: connection refused\n$`),
        );
      }),
    minute,
  );
}

test.run();
