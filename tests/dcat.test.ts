// dcat with dserve and with foreign services: bytes, ends, statuses, signals, failover.
import { once } from 'node:events';
import { chownSync, closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { noise, sha } from './bytes.ts';
import { eventually, rounds, sleep, suite, withSandbox, type Program } from './harness.ts';
import { descendantsOf, linkOf, residentBytes } from './processes.ts';
import { serve } from './services.ts';

const test = suite('dcat');

test('bytes come back as they went, whatever their number', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    for (const bytes of [0, 1, 65_535, 65_536, 65_537, 1_000_003]) {
      const input = noise(bytes);
      const { status, stdout, stderr } = await sandbox.run('dcat', ['echo'], input);
      assert.equal([status, stdout.length, sha(stdout), stderr], [0, bytes, sha(input), '']);
    }
  });
});

test('a large stream compares equal', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    const mebibytes = rounds(64, 1024);
    // openssl would do, but is not everywhere: the numbers of seq are different in every block.
    const make = `seq 1 999999999 | head -c ${mebibytes}M`;
    const { stdout } = await sandbox.run('sh', ['-c', `${make} | cksum; ${make} | dcat echo | cksum`]);
    const [direct, through] = stdout.toString().trim().split('\n');
    assert.is(through, direct);
    assert.match(direct!, new RegExp(` ${mebibytes * 1024 * 1024}$`));
  });
}, 60_000);

test('many at once each get their own bytes', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    const count = rounds(8, 200);
    const all = Array.from({ length: count }, (_, at) => sandbox.run('dcat', ['echo'], `${at} `.repeat(5000)));
    for (const [at, { status, stdout, stderr }] of (await Promise.all(all)).entries()) {
      assert.equal([status, stderr], [0, '']);
      assert.is(stdout.toString(), `${at} `.repeat(5000));
    }
  });
}, 60_000);

test('files are sent one behind the other, - is stdin', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    writeFileSync(`${sandbox.dir}/-n`, 'one ');
    writeFileSync(`${sandbox.dir}/2`, 'two ');
    const { stdout } = await sandbox.run('dcat', ['echo', '--', '-n', '-', '2'], 'stdin ');
    assert.is(stdout.toString(), 'one stdin two ');
  });
});

test('a file that cannot be read is an error before anything is sent', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'cat; echo ran >&2', 'echo');
    writeFileSync(`${sandbox.dir}/good`, 'good');
    for (const [file, reason] of [
      ['missing', 'no such file or directory'],
      ['.', 'is a directory'],
    ]) {
      const { status, stdout, stderr } = await sandbox.run('dcat', ['echo', 'good', file!]);
      assert.equal([status, stdout.length, stderr], [125, 0, `dcat: cannot read ${file}: ${reason}\n`]);
    }
    const { stderr } = await service.stop();
    assert.is(stderr, '', 'the program was never started');
  });
});

test('exit status, stderr and signal of the program come through', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat >/dev/null; echo trouble >&2; exit 3', 'three');
    await serve(sandbox, 'exec kill -9 $$', 'killed');
    await serve(sandbox, 'no-such-command-here', 'missing');
    const three = await sandbox.run('dcat', ['three'], 'x');
    assert.equal([three.status, three.stderr], [3, 'trouble\n']);
    const killed = await sandbox.run('dcat', ['killed']);
    assert.is(killed.status, 137);
    assert.match(killed.stderr, /^dcat: the program of .*killed\.box\.\.\.0 was killed by SIGKILL\n$/);
    assert.is((await sandbox.run('dcat', ['missing'])).status, 127);
  });
});

test('stderr arrives whole, also much of it', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'seq 1 200000 >&2', 'loud');
    const { status, stderr } = await sandbox.run('dcat', ['loud']);
    assert.is(status, 0);
    assert.is(stderr.split('\n').length, 200_001);
  });
});

test('EOF reaches the service, the answer two seconds later arrives whole', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'n=$(wc -c); sleep 2; echo $n', 'late');
    const { status, stdout } = await sandbox.run('dcat', ['late'], 'x'.repeat(70_000));
    assert.equal([status, stdout.toString().trim()], [0, '70000']);
  });
});

test('a service that ends early gives its whole answer and its status', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'head -c 100000; exit 7', 'first');
    for (let round = 0; round < rounds(8, 200); round++) {
      const { stdout } = await sandbox.run('bash', ['-c', 'yes | dcat first | wc -c; echo ${PIPESTATUS[1]}']);
      assert.is(stdout.toString(), '100000\n7\n', `round ${round}`);
    }
  });
}, 60_000);

test('an idle stdin does not hold dcat when the service has ended', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'echo hello; exit 4', 'short');
    const program = sandbox.start('dcat', ['short']);
    const { status, stdout } = await program.ended;
    assert.equal([status, stdout.toString()], [4, 'hello\n']);
  });
});

test('the end of the answer does not end the input', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'exec >/dev/null; cat > got', 'sink');
    const program = sandbox.start('dcat', ['sink']);
    program.child.stdin!.write('first ');
    await eventually('the first part', () => existsSync(`${sandbox.dir}/got`) && readFileSync(`${sandbox.dir}/got`).length === 6);
    program.child.stdin!.end('second');
    assert.is((await program.ended).status, 0);
    assert.is(readFileSync(`${sandbox.dir}/got`, 'utf8'), 'first second');
  });
});

test('kill -9 of dserve, in mid-stream: never 0, and it says what happened', async () => {
  await withSandbox(async (sandbox) => {
    for (let round = 0; round < rounds(3, 50); round++) {
      const service = await serve(sandbox, 'cat', 'echo');
      const program = sandbox.start('dcat', ['echo']);
      program.child.stdin!.write('some');
      await eventually('the stream', () => program.stdout.length === 4);
      await service.stop('SIGKILL');
      const { status, stderr } = await program.ended;
      assert.is(status, 125);
      assert.match(stderr, /^dcat: cannot stay connected to .*echo\.box\.\.\.0: the connection was closed before its program had ended\n/);
    }
  });
});

test('kill -9 of the program, in mid-stream', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'echo $$; exec cat', 'echo');
    const program = sandbox.start('dcat', ['echo']);
    process.kill(Number(await program.line()), 'SIGKILL');
    const { status, stderr } = await program.ended;
    assert.is(status, 137);
    assert.match(stderr, /killed by SIGKILL/);
  });
});

test('kill -9 of dcat: the program and its group are ended', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'sleep 1000 & echo $!; wait', 'sleeper');
    const program = sandbox.start('dcat', ['sleeper']);
    const child = Number(await program.line());
    program.signal('SIGKILL');
    await eventually('the end of the program', () => !existsSync(`/proc/${child}`));
  });
});

test('a program that ignores TERM is killed', async () => {
  await withSandbox(
    async (sandbox) => {
      await serve(sandbox, 'trap "" TERM; echo $$; while :; do sleep 1; done', 'stubborn');
      const program = sandbox.start('dcat', ['stubborn']);
      const pid = Number(await program.line());
      await program.stop('SIGTERM');
      await eventually('the end of the program', () => !existsSync(`/proc/${pid}`));
    },
    { DIPUS_TIME_SCALE: '0.1' },
  );
});

test('a program that commits at EOF does not when dcat is stopped', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat > part && mv part done', 'commit');
    for (let round = 0; round < rounds(5, 60); round++) {
      const program = sandbox.start('dcat', ['commit']);
      program.child.stdin!.write('half');
      await eventually('the first bytes', () => existsSync(`${sandbox.dir}/part`) && readFileSync(`${sandbox.dir}/part`).length === 4);
      const { signal } = await program.stop('SIGTERM');
      assert.is(signal, 'SIGTERM');
      await sandbox.run('rm', ['-f', 'part']);
      assert.not.ok(existsSync(`${sandbox.dir}/done`), `round ${round}`);
    }
  });
});

/** Two ends of a connection, for a program's stdin and for whoever sends to it. */
async function connectionAt(listenAt: string | { host: string; port: number }): Promise<{ input: Socket; sender: Socket; close(): void }> {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) =>
    typeof listenAt === 'string' ? server.listen(listenAt, resolve) : server.listen(listenAt, resolve),
  );
  const accepted = once(server, 'connection');
  const address = server.address()!;
  const sender = typeof address === 'string' ? connect(address) : connect(address.port, '127.0.0.1');
  const [input] = (await accepted) as [Socket];
  return { input, sender: sender.on('error', () => {}), close: () => server.close() };
}

test('an input that is a connection, and is reset: 125, and no end for a program that commits at EOF', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat > part && mv part done', 'commit');
    for (const kind of ['tcp', 'unix']) {
      for (const options of [[], ['-p']]) {
        for (let round = 0; round < rounds(2, 50); round++) {
          const what = `${kind} ${options.join(' ')} round ${round}`;
          const { input, sender, close } = await connectionAt(
            kind === 'unix' ? `${sandbox.dir}/input.sock` : { host: '127.0.0.1', port: 0 },
          );
          const program = sandbox.start('dcat', [...options, 'commit'], { stdio: [input, 'pipe', 'pipe'] });
          await once(program.child, 'spawn');
          sender.write('half');
          await eventually('the first bytes', () => existsSync(`${sandbox.dir}/part`) && readFileSync(`${sandbox.dir}/part`).length === 4);
          // A UNIX socket is reset when it is closed with something unread in it.
          if (kind === 'unix') await new Promise((resolve) => input.write('unread', resolve));
          else sender.resetAndDestroy();
          sender.destroy();
          const { status, stderr } = await program.ended;
          input.destroy();
          close();
          assert.is(status, 125, what);
          assert.match(stderr, /dcat: cannot read stdin: connection reset by peer\n/, what);
          await sandbox.run('rm', ['-f', 'part']);
          assert.not.ok(existsSync(`${sandbox.dir}/done`), what);
        }
      }
    }
  });
}, 120_000);

/** The process below dcat that copies the answer to its stdout. */
function answerCopier(dcat: number): number {
  const stdout = linkOf(`/proc/${dcat}/fd/1`);
  return descendantsOf(dcat).find((pid) => linkOf(`/proc/${pid}/fd/1`) === stdout)!;
}

test('a dcat that fails by itself: the program is told to stop, and sees no end first', async () => {
  await withSandbox(async (sandbox) => {
    // It answers only when some of the input is there.
    await serve(sandbox, 'head -c 4 > part; seq 20000; cat >> part && mv part done', 'talks');
    await serve(sandbox, 'head -c 4 > part; cat >> part && mv part done', 'silent');
    const hasBegun = (): boolean => existsSync(`${sandbox.dir}/part`) && readFileSync(`${sandbox.dir}/part`).length === 4;
    const ways: Record<string, (options: string[]) => Promise<number>> = {
      'the reader of its stdout has gone': async (options) => {
        const program = sandbox.start('dcat', [...options, 'talks']);
        program.child.stdout!.destroy();
        program.child.stdin!.write('half');
        return (await program.ended).status;
      },
      'no space there': async (options) => {
        const full = openSync('/dev/full', 'w');
        const program = sandbox.start('dcat', [...options, 'talks'], { stdio: ['pipe', full, 'pipe'] });
        closeSync(full);
        program.child.stdin!.write('half');
        return (await program.ended).status;
      },
      'the copier of the answer is killed': async (options) => {
        const program = sandbox.start('dcat', [...options, 'silent']);
        program.child.stdin!.write('half');
        await eventually('the first bytes', hasBegun);
        if (options.length === 0) process.kill(answerCopier(program.pid), 'SIGKILL');
        else program.signal('SIGTERM');
        return (await program.ended).status;
      },
    };
    for (const [way, use] of Object.entries(ways)) {
      for (let round = 0; round < rounds(2, 200); round++) {
        const status = await use(round % 2 === 0 ? [] : ['-p']);
        assert.ok([125, 141, 143].includes(status), `${way}: ${status}`);
        assert.not.ok(existsSync(`${sandbox.dir}/done`), `${way}, round ${round}`);
        await sandbox.run('rm', ['-f', 'part']);
      }
    }
  });
}, 120_000);

test('kill -9 of dcat: nothing reads on from its stdin, no end reaches the program, nothing is left', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'head -c 4 > part; cat >> part && mv part done', 'commit');
    for (let round = 0; round < rounds(3, 200); round++) {
      const shell = sandbox.start('bash', ['-c', 'dcat commit; exec cat']);
      shell.child.stdin!.write('half');
      await eventually('the first bytes', () => existsSync(`${sandbox.dir}/part`) && readFileSync(`${sandbox.dir}/part`).length === 4);
      const below = descendantsOf(shell.pid);
      process.kill(below[0]!, 'SIGKILL');
      await eventually('the next command', () => readFileSync(`/proc/${shell.pid}/comm`, 'utf8') === 'cat\n');
      shell.child.stdin!.end('the next one');
      assert.is((await shell.ended).stdout.toString(), 'the next one');
      await eventually('the end of all', () => below.every((pid) => !existsSync(`/proc/${pid}`)));
      assert.not.ok(existsSync(`${sandbox.dir}/done`), `round ${round}`);
      await sandbox.run('rm', ['-f', 'part']);
    }
  });
}, 120_000);

test('SIGINT goes to the program first, a second one ends dcat', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'trap "echo caught" INT; echo ready; while :; do sleep 0.05; done', 'trap');
    const program = sandbox.start('dcat', ['trap']);
    assert.is(await program.line(), 'ready');
    program.signal('SIGINT');
    assert.is(await program.line(), 'caught');
    program.signal('SIGINT');
    assert.is((await program.ended).signal, 'SIGINT');
  });
});

test('a reader that goes away: dcat dies of SIGPIPE, silently', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'yes', 'yes');
    const { stdout, stderr } = await sandbox.run('bash', ['-c', 'dcat yes </dev/null | head -n 1; echo ${PIPESTATUS[0]}']);
    assert.equal([stdout.toString(), stderr], ['y\n141\n', '']);
  });
});

test('stdout that is full is an error', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    const { stdout, stderr } = await sandbox.run('bash', ['-c', 'echo x | dcat echo >/dev/full; echo $?']);
    assert.equal([stdout.toString(), stderr], ['125\n', 'dcat: cannot write to stdout: no space left on device\n']);
  });
});

test('no service, dead ones, no socket, a program that ends with 127: 127, and which it is', async () => {
  await withSandbox(async (sandbox) => {
    const none = await sandbox.run('dcat', ['nothing']);
    assert.is(none.status, 127);
    assert.match(
      none.stderr,
      /^dcat: cannot find nothing: no such service: .*root is not there yet\ndcat: hint: dls shows what there is\n$/,
    );
    const service = await serve(sandbox, 'cat', 'dead');
    await service.stop('SIGKILL');
    const dead = await sandbox.run('dcat', ['dead']);
    assert.is(dead.status, 127);
    assert.match(dead.stderr, /cannot connect to .*dead\.box\.\.\.0: connection refused\ndcat: hint: .*; dreap removes it\n$/);
    assert.ok(dead.stderr.includes(service.path));
    const other = await sandbox.run('dcat', ['other']);
    assert.is(other.status, 127);
    assert.match(other.stderr, /^dcat: cannot find other: no such service\ndcat: hint/);
    await serve(sandbox, 'no-such-command-here', 'empty');
    const empty = await sandbox.run('dcat', ['empty']);
    assert.is(empty.status, 127);
    assert.match(empty.stderr, /the program of .*empty\.box\.\.\.0 ended with 127: /);
    const gone = await sandbox.run('dcat', [`${sandbox.dir}/none.sock`]);
    assert.equal([gone.status, gone.stderr], [127, `dcat: cannot connect to ${sandbox.dir}/none.sock: no such file or directory\n`]);
  });
});

test('-w waits for a service to appear: none yet, a dead one, a path, a host', async () => {
  await withSandbox(async (sandbox) => {
    const awaited = (name: string): Program => {
      const program = sandbox.start('dcat', ['-v', '-w', '60', name]);
      program.child.stdin!.end('x');
      return program;
    };
    const inTime = async (program: Program): Promise<void> => {
      const { status, stdout, stderr } = await program.ended;
      assert.equal([status, stdout.toString()], [0, 'x'], stderr);
    };
    const first = awaited('echo');
    const byPath = awaited(`${sandbox.root}/local/echo.box...0`);
    await Promise.all([first, byPath].map((program) => program.says(/waiting for it/)));
    const service = await serve(sandbox, 'cat', 'echo');
    await Promise.all([first, byPath].map(inTime));
    await service.stop('SIGKILL');
    const second = awaited('echo');
    await second.says(/connection refused/);
    const third = awaited('sep://127.0.0.1:9/echo');
    await third.says(/waiting for it/);
    await serve(sandbox, 'cat', 'echo');
    await inTime(second);
    assert.is((await third.stop()).signal, 'SIGTERM');
    const late = await sandbox.run('dcat', ['-w', '0.1', 'nothing']);
    assert.is(late.status, 127);
    // What waiting does not change is told at once.
    assert.is((await sandbox.run('dcat', ['-w', '1000', 'echo', 'missing'])).status, 125);
  });
});

test('of several that answer equally well the one with the fewest running is taken, any of the idle', async () => {
  await withSandbox(async (sandbox) => {
    const paths = await Promise.all(
      ['a', 'b', 'c'].map(async (name) => (await serve(sandbox, `echo ${name}; cat`, `${name}/text/work`)).path),
    );
    const use = async (ask: string): Promise<string> => (await sandbox.run('dcat', [ask])).stdout.toString().trim();
    const held = [sandbox.start('dcat', [paths[0]!]), sandbox.start('dcat', [paths[2]!]), sandbox.start('dcat', [paths[2]!])];
    await Promise.all(held.map((program) => program.line()));
    for (let round = 0; round < rounds(3, 30); round++) assert.is(await use('text/work'), 'b');
    // A better rank is taken whatever its load.
    assert.is(await use('c'), 'c');
    held.push(sandbox.start('dcat', [paths[1]!]), sandbox.start('dcat', [paths[1]!]));
    await Promise.all(held.slice(3).map((program) => program.line()));
    assert.is(await use('text/work'), 'a');
    for (const program of held) program.child.stdin!.end();
    await Promise.all(held.map((program) => program.ended));
    const seen = new Set<string>();
    await eventually('each of the idle', async () => seen.add(await use('text/work')).size === 3, 60_000);
  });
}, 120_000);

test('a stopped one among equals does not hold dcat', async () => {
  await withSandbox(async (sandbox) => {
    const stopped = await serve(sandbox, 'echo stopped', 'who');
    await serve(sandbox, 'echo well', 'who');
    stopped.signal('SIGSTOP');
    const { status, stdout } = await sandbox.run('dcat', ['who']);
    assert.equal([status, stdout.toString()], [0, 'well\n']);
  });
});

test('a FIFO as FILE: opened once, waited for, all of what its writer sends', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', 'echo');
    const { stdout } = await sandbox.run('bash', [
      '-c',
      `mkfifo f g
       echo hello > f & dcat echo f
       printf '%s' one > f & dcat -p echo f 2>/dev/null; echo
       seq 100000 > f & seq 100000 > g & dcat echo f - g < /dev/null | cksum
       (seq 100000; seq 100000) | cksum
       dcat echo <(echo substituted)`,
    ]);
    const lines = stdout.toString().split('\n');
    assert.equal([lines[0], lines[1], lines[4]], ['hello', 'one', 'substituted']);
    assert.is(lines[2], lines[3]);
    // It may wait for its writer for ever, and is ended as ever.
    const waiting = sandbox.start('dcat', ['-v', 'echo', 'f']);
    await waiting.says(/using/);
    assert.is((await waiting.stop()).signal, 'SIGTERM');
  });
});

test('stdout that is closed: 125, and nothing has been begun', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'echo ran > ran; cat', 'echo');
    const { stdout, stderr } = await sandbox.run('bash', ['-c', 'exec 3>&1; echo x | dcat echo >&-; echo $? >&3']);
    assert.equal([stdout.toString(), stderr], ['125\n', 'dcat: cannot write to stdout: it is closed\n']);
    assert.not.ok(existsSync(`${sandbox.dir}/ran`));
  });
});

// Only root can make what belongs to somebody else.
const own = process.getuid?.() === 0 ? test : (title: string): void => test.skip(title, 'we are not root');
own('a service of somebody else: 126, and its path as it is, unless it is named', async () => {
  await withSandbox(async (sandbox) => {
    const env = { ...sandbox.env, DIPUS_ROOT: `${sandbox.dir}/a: b` };
    const service = sandbox.start('dserve', ['cat', 'echo'], { env });
    const path = await service.line();
    chownSync(path, 54_321, 54_321);
    const { status, stderr } = await sandbox.run('dcat', ['echo'], 'x', { env });
    assert.is(status, 126, stderr);
    assert.ok(stderr.includes(`cannot trust ${path}: `), stderr);
    assert.is((await sandbox.run('dcat', ['echo.box...0'], 'x', { env })).stdout.toString(), 'x');
  });
});

test('the next match takes what the first cannot', async () => {
  await withSandbox(async (sandbox) => {
    const dead = await serve(sandbox, 'echo 0', 'who');
    // Its protocol is who: it answers less well.
    await serve(sandbox, 'echo 1', 'other/who');
    await dead.stop('SIGKILL');
    const { status, stdout, stderr } = await sandbox.run('dcat', ['-v', 'who']);
    assert.equal([status, stdout.toString()], [0, '1\n']);
    assert.match(stderr, /who\.box\.\.\.0: connection refused, trying the next one\n/);
  });
});

test('at its limit: the next match is taken, or it waits for its turn', async () => {
  await withSandbox(async (sandbox) => {
    const limit = rounds(2, 64);
    await serve(sandbox, 'echo one; cat', 'who', '-n', String(limit));
    const held = Array.from({ length: limit }, () => sandbox.start('dcat', ['who']));
    await Promise.all(held.map((program) => program.line()));
    const waiting = Array.from({ length: rounds(2, 10) }, () => sandbox.start('dcat', ['-v', 'who']));
    await Promise.all(waiting.map((program) => program.says(/at its limit, waiting/)));
    const { stdout: list } = await sandbox.run('dls', ['-l', 'who']);
    assert.match(list.toString(), new RegExp(`^alive +${limit}/${limit} `));
    await serve(sandbox, 'echo two; cat', 'who');
    assert.is((await sandbox.run('dcat', ['who'])).stdout.toString(), 'two\n');
    for (const program of held) program.child.stdin!.end();
    for (const program of waiting) {
      program.child.stdin!.end();
      const { status, stdout } = await program.ended;
      assert.equal([status, stdout.toString()], [0, 'one\n']);
    }
  });
}, 60_000);

test('more clients than descriptors: each gets its answer or a clear refusal', async () => {
  await withSandbox(async (sandbox) => {
    const service = sandbox.start('bash', ['-c', `ulimit -n ${rounds(40, 64)}; exec dserve cat echo`]);
    await service.line();
    const count = rounds(24, 200);
    const results = await Promise.all(Array.from({ length: count }, (_, at) => sandbox.run('dcat', ['-t', '60', 'echo'], `answer ${at}`)));
    for (const [at, { status, stdout, stderr }] of results.entries()) {
      if (status === 0) assert.is(stdout.toString(), `answer ${at}`);
      else assert.match(stderr, /^dcat: /);
    }
    assert.ok(results.filter(({ status }) => status === 0).length > count / 2, 'most get an answer');
    assert.is((await sandbox.run('dcat', ['echo'], 'after')).stdout.toString(), 'after');
    assert.is((await service.stop()).status, 0);
  });
}, 180_000);

test('a foreign service: its bytes, and 0', async () => {
  await withSandbox(async (sandbox) => {
    const path = `${sandbox.dir}/foreign.sock`;
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      connection.on('data', () => {}).on('end', () => setTimeout(() => connection.end('late answer'), 300));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      for (const name of [path, `unix://${path}`]) {
        const { status, stdout } = await sandbox.run('dcat', [name], 'x'.repeat(200_000));
        assert.equal([status, stdout.toString()], [0, 'late answer']);
      }
    } finally {
      server.close();
    }
  });
});

test('a foreign service that has closed does not wait for our stdin; one that only ends its answer does', async () => {
  await withSandbox(async (sandbox) => {
    const path = `${sandbox.dir}/foreign.sock`;
    let received = '';
    let mayClose = true;
    const server = createServer({ allowHalfOpen: true }, (connection) => {
      connection.on('data', (chunk) => (received += chunk.toString())).on('error', () => {});
      connection.end('done', () => mayClose && connection.destroy());
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      assert.is((await sandbox.start('dcat', [path]).ended).stdout.toString(), 'done');
      mayClose = false;
      const program = sandbox.start('dcat', [path]);
      await eventually('the answer', () => program.stdout.toString() === 'done');
      program.child.stdin!.end('the rest');
      assert.is((await program.ended).status, 0);
      await eventually('the input', () => received.endsWith('the rest'));
    } finally {
      server.close();
    }
  });
});

test('-p shows bytes and rate, and changes neither bytes nor status', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat; exit 5', 'echo');
    writeFileSync(`${sandbox.dir}/file`, noise(300_000));
    const { status, stdout, stderr } = await sandbox.run('dcat', ['-p', 'echo', 'file']);
    assert.equal([status, sha(stdout)], [5, sha(noise(300_000))]);
    assert.match(stderr, /^293\.0 KiB sent, 293\.0 KiB received, .*\/s, 0:0\d, 100 %\n$/);
    const piped = await sandbox.run('dcat', ['-p', 'echo'], noise(70_000));
    assert.is(sha(piped.stdout), sha(noise(70_000)));
    await serve(sandbox, 'head -c 1000', 'first');
    const { stdout: short } = await sandbox.run('bash', ['-c', 'yes | dcat -p first 2>/dev/null | wc -c']);
    assert.is(short.toString().trim(), '1000');
  });
});

test('bad input: one clear line, status 125', async () => {
  await withSandbox(async (sandbox) => {
    for (const [args, message] of [
      [[], 'dcat: no SERVICE given'],
      [[''], 'dcat: SERVICE is empty'],
      [['--bogus', 'x'], 'dcat: unknown option --bogus'],
      [['a//b'], 'dcat: SERVICE "a//b": has an empty part'],
      [['x/..'], 'dcat: SERVICE "x/..": has a part ..'],
      [['-t', 'soon', 'x'], 'dcat: --timeout soon: not a number of seconds'],
    ] as const) {
      const { status, stderr } = await sandbox.run('dcat', [...args]);
      assert.equal([status, stderr.split('\n')[0]], [125, message]);
      assert.is(stderr.trimEnd().split('\n').length, 2, stderr);
    }
  });
});

test('operands that look like numbers stay what they are', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'cat', '1e3');
    assert.is((await sandbox.run('dcat', ['1e3'], 'x')).stdout.toString(), 'x');
  });
});

test('a reader that stops: the sender waits, memory stays flat', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'cat', 'echo');
    const seconds = rounds(2, 30);
    const program = sandbox.start('bash', ['-c', `head -c 1G /dev/zero | dcat -v echo | sleep ${seconds}; echo \${PIPESTATUS[@]}`]);
    await program.says(/using/);
    const before = residentBytes(service.pid);
    await sleep((seconds - 1) * 1000);
    assert.ok(residentBytes(service.pid) - before < 20e6);
    // Nobody has read it to its end, and nobody took it for one.
    assert.is((await program.ended).stdout.toString(), '141 141 0\n');
  });
}, 60_000);

test.run();
