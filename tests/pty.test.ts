// dserve --pty: programs on terminals of their own. Nothing of one session reaches another, all output comes before the end, and nobody
// waits in vain.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import * as assert from 'uvu/assert';
import type { SessionResult } from '@dipus/session/client-connection';
import { startSession, type ClientSession } from '@dipus/session/control-client';
import { eventually, has, isLong, rounds, sleep, suite, withSandbox, type Sandbox } from './harness.ts';
import { commandOf, linkOf, programsOf, residentBytes } from './processes.ts';
import { exporter, importer } from './sep-pair.ts';
import { serve as serveAny, type Service } from './services.ts';
import { withScreen } from './tmux.ts';

const test = suite('pty');

/** A service whose programs have terminals. */
function serve(sandbox: Sandbox, ...args: string[]): Promise<Service> {
  return serveAny(sandbox, '--pty', ...args);
}

/** What a plain client that sends `input` and half-closes is answered. A reset of a UNIX socket comes behind all data. */
function ask(path: string, input: string | Buffer = ''): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect({ path, allowHalfOpen: true }, () => socket.end(input));
    socket.on('data', (chunk) => (text += chunk.toString('latin1'))).on('error', () => {});
    socket.on('end', () => socket.destroy()).on('close', () => resolve(text));
  });
}

interface Controlled {
  readonly session: ClientSession;
  /** All that came on the data connection, and how the session ended. */
  readonly ended: Promise<{ text: string; outcome: SessionResult }>;
}

/** A session by control; `started` gets it when its program runs. */
async function control(path: string, started: (session: ClientSession) => void): Promise<Controlled> {
  const file = path.replace(/[^/]*$/, '.$&');
  const dial = (): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect({ path: file, allowHalfOpen: true });
      socket.once('error', reject).once('connect', () => resolve(socket.off('error', reject)));
    });
  let end!: (outcome: SessionResult) => void;
  const outcome = new Promise<SessionResult>((resolve) => (end = resolve));
  const size = { cols: 80, rows: 24, term: 'xterm' };
  const events = { started: () => started(session), waiting: () => {}, stderr: () => {}, ended: (how: SessionResult) => end(how) };
  const session: ClientSession = await startSession(dial, { tty: size }, events);
  let text = '';
  const { data } = session;
  const closed = new Promise<void>((resolve) => {
    data.on('error', () => {}).on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
    data.on('end', () => data.destroy()).on('close', () => resolve());
  });
  return { session, ended: Promise.all([outcome, closed]).then(([how]) => ({ text, outcome: how })) };
}

test('at the limit of descriptors some are served and others closed, and all are served later', async () => {
  await withSandbox(async (sandbox) => {
    const service = sandbox.start('bash', ['-c', `ulimit -n 64; exec dserve --pty -n 64 'exec cat' echo`]);
    const path = await service.line();
    const sockets = Array.from({ length: 40 }, () => connect({ path, allowHalfOpen: true }));
    const begun = sockets.map((socket) => {
      socket.on('error', () => {}).write('here\n');
      return new Promise<string>((resolve) => socket.once('data', () => resolve('served')).once('close', () => resolve('closed')));
    });
    const ways = new Set(await Promise.all(begun));
    assert.equal([...ways].sort(), ['closed', 'served']);
    for (const socket of sockets) socket.destroy();
    await eventually('the end of all programs', () => programsOf(service.pid).length === 0);
    const ended = await sandbox.run('dcat', ['-t', '20', 'echo'], '');
    assert.is(ended.stderr, '');
    assert.not.match(service.stderr, /internal error|\n {4}at /);
    assert.is(service.child.exitCode, null);
  });
});

test('all output comes before the end, also to a reader that is slow', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'stty raw -echo; head -c 400000 /dev/zero | tr "\\0" x; printf END', 'big');
    for (let round = 0; round < rounds(3, 200); round++) {
      const { status, stdout } = await sandbox.run('dcat', ['big']);
      assert.equal([status, stdout.length, stdout.subarray(-3).toString()], [0, 400_003, 'END']);
      assert.is((await ask(service.path)).length, 400_003);
    }
    const slow = await sandbox.run('sh', ['-c', '(dcat big </dev/null; echo status $? >&2) | (sleep 1.5; wc -c)']);
    assert.equal([slow.stdout.toString().trim(), slow.stderr], ['400003', 'status 0\n']);
  });
});

test('a size that comes while the program ends is nothing', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'exit 3', 'quick');
    const one = async (): Promise<void> => {
      const { session, ended } = await control(service.path, () => {
        const timer = setInterval(() => session.resize({ cols: 81, rows: 25 }), 1);
        void ended.then(() => clearInterval(timer));
      });
      assert.equal((await ended).outcome, { exit: { code: 3 } });
    };
    for (let round = 0; round < rounds(2, 100); round++) await Promise.all(Array.from({ length: 8 }, one));
    assert.is(service.stderr, '');
  });
});

test('no program has another one’s terminal', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'ls -l /proc/$$/fd; echo listed; cat', 'look');
    const clients: Socket[] = [];
    for (let round = 0; round < 4; round++) {
      let text = '';
      const client = connect(service.path).on('data', (chunk) => (text += chunk.toString()));
      clients.push(client);
      await eventually('its descriptors', () => text.includes('listed'));
      assert.not.match(text, /ptmx/);
    }
    const own = readdirSync(`/proc/${service.pid}/fd`).map((fd) => linkOf(`/proc/${service.pid}/fd/${fd}`));
    assert.not.ok(own.includes('/dev/ptmx') || own.includes('/dev/pts/ptmx'), own.join(' '));
    clients.forEach((client) => client.destroy());
  });
});

test('a plain client that goes hangs up: in raw mode, deaf to HUP, or sending more than is read', async () => {
  for (const [command, input] of [
    ['stty raw -echo; echo up; exec sleep 4343', ''],
    ['stty raw -echo; trap "" HUP; echo up; exec sleep 4343', ''],
    ['stty raw -echo; echo up; exec sleep 4343', 'x'.repeat(1 << 20)],
  ] as const) {
    await withSandbox(async (sandbox) => {
      const service = await serve(sandbox, command, 'raw', '-n', '1');
      const client = connect(service.path).on('error', () => {});
      await new Promise((resolve) => client.once('data', resolve));
      client.write(input);
      await eventually('its program', () => programsOf(service.pid).some((pid) => commandOf(pid).includes('sleep 4343')));
      client.destroy();
      await eventually('the end of its program', () => !programsOf(service.pid).some((pid) => commandOf(pid).includes('sleep 4343')));
      const next = connect(service.path);
      await new Promise((resolve) => next.once('data', resolve));
      next.destroy();
    });
  }
});

test('an end of input that comes before the program is ready for it ends it all the same', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'stty raw; sleep 0.3; stty -raw; cat; cat; echo over', 'late');
    assert.match(await ask(service.path), /over\r\n$/);
    const { status, stdout } = await sandbox.run('dcat', ['late'], 'within a line');
    assert.is(status, 0);
    assert.match(stdout.toString(), /over\r\n$/);
  });
});

if (has('bash')) {
  test('an end of input ends an interactive bash that is still starting', async () => {
    await withSandbox(async (sandbox) => {
      const service = await serve(sandbox, 'exec bash --norc -i', 'shell');
      for (let round = 0; round < rounds(2, 50); round++) assert.match(await ask(service.path), /exit\r\n/);
    });
  });
} else {
  test.skip('an end of input ends an interactive bash', 'there is no bash');
}

test('a program that does not read makes its sender wait, plain and by control', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'stty raw -echo; echo up; exec sleep 4343', 'deaf');
    const plain = async (): Promise<Socket> => connect(service.path).on('error', () => {});
    const controlled = (): Promise<Duplex> => new Promise((resolve) => void control(service.path, ({ data }) => resolve(data)));
    for (const open of [plain, controlled]) {
      const client = await open();
      await new Promise((resolve) => client.once('data', resolve));
      const before = residentBytes(service.pid);
      let sent = 0;
      const block = Buffer.alloc(1 << 16);
      const send = (): void => {
        client.write(block, () => {
          sent += block.length;
          if (sent < 200 << 20) send();
        });
      };
      send();
      // Waits until nothing has been taken for a while.
      for (let last = -1; last !== sent; await sleep(500)) last = sent;
      assert.ok(sent < 4 << 20, `${sent} bytes were taken`);
      assert.ok(residentBytes(service.pid) - before < 20e6, `${residentBytes(service.pid)} bytes, ${before} before`);
      client.destroy();
    }
  });
});

test('a program that dies of a real-time signal has not ended well', async () => {
  await withSandbox(async (sandbox) => {
    await serve(sandbox, 'kill -$(cat number) $$', 'real');
    for (const [number, status] of [
      [34, 162],
      [50, 178],
      [64, 192],
      [9, 137],
    ] as const) {
      writeFileSync(`${sandbox.dir}/number`, String(number));
      assert.is((await sandbox.run('dcat', ['real'])).status, status);
    }
  });
});

test('a plain client has a terminal too, its end is the end of file', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'test -t 0 && cat', 'tty');
    assert.match(await ask(service.path, 'line\n'), /^line\r\nline\r\n/);
    const { status, stdout } = await sandbox.run('dcat', ['tty'], 'x\n');
    assert.equal([status, stdout.toString()], [0, 'x\r\nx\r\n']);
  });
});

test('a service that is killed takes programs and their terminals with it', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, 'echo $$; exec sleep 4343', 'long');
    let text = '';
    const client = connect(service.path)
      .on('data', (chunk) => (text += chunk.toString()))
      .on('error', () => {});
    const pid = await eventually('its program', () => /^(\d+)\r\n/.exec(text)?.[1]);
    const cats = await eventually('its cats', () => {
      const found = execFileSync('ps', ['-e', '-o', 'ppid=,pid=,comm='], { encoding: 'utf8' }).matchAll(/^ *(\d+) +(\d+) cat$/gm);
      const own = [...found].filter(([, parent]) => Number(parent) === service.pid).map(([, , cat]) => cat);
      return own.length === 2 ? own : undefined;
    });
    await service.stop('SIGKILL');
    for (const each of [pid, ...cats]) await eventually('the end of its processes', () => !existsSync(`/proc/${each}`));
    client.destroy();
  });
});

// What a session's program does depends on its number: says nothing and reads nothing; gives an answer of a known length; ends at once.
const answerBytes = 70_000;
const answers = `stty raw -echo; head -c ${answerBytes} /dev/zero | tr "\\0" x; printf END`;
const mixed = `case $(($$ % 3)) in 0) sleep 0.02; exit 4;; 1) ${answers};; *) exit 3;; esac`;

/** What is wrong with what a client was given that has sent only lines of `mark`; undefined: nothing. */
function faultIn(text: string, mark: string, outcome?: SessionResult): string | undefined {
  const foreign = (text.match(/[A-Z]\d{6}\|/g) ?? []).find((each) => each !== mark);
  if (foreign !== undefined) return `it has got ${foreign} of another client`;
  const answer = /x{20,}(END)?/.exec(text)?.[0];
  if (answer !== undefined && answer.length !== answerBytes + 3) return `only ${answer.length} bytes of the answer`;
  if (outcome === undefined) return undefined;
  const code = 'exit' in outcome && 'code' in outcome.exit ? outcome.exit.code : undefined;
  if (code === undefined) return `its end was lost: ${JSON.stringify(outcome)}`;
  return (code === 0) === (answer !== undefined) ? undefined : `code ${code} with ${answer?.length ?? 0} bytes of an answer`;
}

/** One plain client that sends more than is read, and half the time leaves before the end. */
async function plainSession(path: string, mark: string, isEarly: boolean): Promise<string | undefined> {
  let text = '';
  const socket = connect({ path, allowHalfOpen: true });
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('data', (chunk) => (text += chunk.toString('latin1'))).on('error', () => {});
  socket.on('end', () => socket.destroy());
  socket.write(`${mark.repeat(9)}\n`.repeat(2000));
  if (isEarly) setTimeout(() => socket.destroy(), Math.random() * 30);
  await closed;
  return isEarly ? faultIn(text.replace(/x+/, ''), mark) : faultIn(text, mark);
}

async function controlSession(path: string, mark: string, isEarly: boolean): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const { session, ended } = await control(path, ({ data, resize }) => {
    data.write(`${mark.repeat(9)}\n`.repeat(2000));
    timer = setInterval(() => resize({ cols: 80 + Math.floor(Math.random() * 50), rows: 24 }), 2);
  });
  const leave = new Promise<'left'>((resolve) => {
    if (isEarly) setTimeout(() => resolve('left'), Math.random() * 30);
  });
  const how = await Promise.race([ended, leave]);
  clearInterval(timer);
  if (how !== 'left') return faultIn(how.text, mark, how.outcome);
  session.close();
  session.data.destroy();
  return undefined;
}

test('many sessions with unread input, sizes and early ends: no foreign byte, no lost end, and dserve lives', async () => {
  await withSandbox(async (sandbox) => {
    const service = await serve(sandbox, mixed, 'mixed', '-x', '-n', '12');
    const there = await exporter(sandbox);
    const here = importer(sandbox, there.uri);
    const [file] = await here.has(1);
    const imported = `${here.root}/${file}`;
    const ways = [
      (mark: string, isEarly: boolean) => plainSession(service.path, mark, isEarly),
      (mark: string, isEarly: boolean) => controlSession(service.path, mark, isEarly),
      (mark: string, isEarly: boolean) => controlSession(imported, mark, isEarly),
      (mark: string, isEarly: boolean) => plainSession(imported, mark, isEarly),
    ];
    const total = rounds(80, 10_000);
    let begun = 0;
    let middle = 0;
    const worker = async (letter: string): Promise<void> => {
      while (begun < total) {
        const number = begun++;
        if (number === Math.floor(total / 2)) middle = residentBytes(service.pid);
        const way = number % ways.length;
        const fault = await ways[way]!(`${letter}${String(number).padStart(6, '0')}|`, number % 7 === 0);
        assert.is(fault, undefined, `session ${number}, way ${way}: ${fault}`);
      }
    };
    await Promise.all([...'ABCDEFGHIJKL'].map(worker));
    assert.is(service.stderr, '');
    // Under load V8 lets its young generation grow to 3 spaces of 16 MiB, and gives them back later; more than that is a leak.
    if (isLong) assert.ok(residentBytes(service.pid) - middle < 48 << 20, `${residentBytes(service.pid)} bytes, ${middle} half way`);
    await eventually('the end of all programs', () => programsOf(service.pid).length === 0);
    assert.is((await service.stop()).status, 0);
  });
}, 240_000);

if (has('tmux')) {
  test('in a real terminal: prompt, ^C, resize, status; raw mode is undone after exit and after kill', async () => {
    await withSandbox(async (sandbox) => {
      await serve(sandbox, 'PS1="remote> " sh -i', 'shell');
      await withScreen(sandbox, sandbox.env, async (screen) => {
        /** Types a line until its answer is what is waited for. What was typed before the prompt is answered behind that. */
        const until = (line: string, pattern: RegExp): Promise<unknown> =>
          eventually(`${pattern} of ${line}`, async () => {
            await screen.type(`${line}; echo a'nswered'`, 'Enter');
            await screen.shows(/^(?:\w+> )?answered$/m);
            const isSeen = pattern.test(await screen.read());
            await screen.type('clear', 'Enter');
            await eventually('a clear screen', async () => !/answered/.test(await screen.read()));
            return isSeen;
          });
        await screen.resize(91, 31);
        await screen.type('stty -g > before; dcat shell; echo status $?', 'Enter');
        await screen.shows(/^remote>\s*$/m);
        await until('stty size', /^31 91$/m);
        await screen.type('sh -c "echo beg\\un; exec sleep 1000"', 'Enter');
        await screen.shows(/^begun$/m);
        await screen.type('', 'C-c');
        await screen.shows(/\^C\s+remote>\s*$/m);
        await screen.type('echo interrupted $?', 'Enter');
        await screen.shows(/^interrupted 130$/m);
        await screen.resize(72, 21);
        await until('stty size', /^21 72$/m);
        await screen.type('exit 5', 'Enter');
        await screen.shows(/^status 5$/m);
        await until('stty -g > after; cmp before after && echo re"stored"', /^restored$/m);
        for (const signal of ['TERM', 'KILL']) {
          await screen.type(`clear; sh -c 'echo $$ >pid; exec dcat shell'; echo ended $?`, 'Enter');
          await screen.shows(/^remote>\s*$/m);
          process.kill(Number(readFileSync(`${sandbox.dir}/pid`, 'utf8')), `SIG${signal}`);
          await screen.shows(signal === 'TERM' ? /^(?:remote> )?ended 143$/m : /^(?:remote> )?ended 137$/m);
          await until('stty -g > after; cmp before after && echo re"stored"', /^restored$/m);
        }
      });
    });
  }, 120_000);
} else {
  test.skip('in a real terminal', 'there is no tmux');
}

test.run();
