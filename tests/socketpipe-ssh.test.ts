// socketpipe through a real sshd: on loopback, and between namespaces with firewalls and without routes.
import { randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { randomArguments } from './bytes.ts';
import { eventually, has, rounds, suite, withSandbox, type Ended, type Sandbox } from './harness.ts';
import { remoteEnvironment, freePort } from './sshd.ts';

const test = suite('socketpipe by ssh');
const group = (option: string, ...words: string[]): string[] => [option, '{', ...words, '}'];
const hasSsh = has('ssh') && has('ssh-keygen') && existsSync('/usr/sbin/sshd');
const isRoot = process.getuid?.() === 0;

/** A host that can be logged in to: `login` is the command for it. */
interface Host {
  readonly login: string[];
}

/** An sshd on a port of its own, in this namespace or another. */
async function startSshd({ dir, env, start }: Sandbox, address: string, namespace?: string): Promise<Host> {
  const port = await freePort();
  const home = `${dir}/sshd-${port}`;
  mkdirSync(home);
  mkdirSync('/run/sshd', { recursive: true });
  for (const key of ['host', 'user']) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${home}/${key}`]);
  const lines = [
    'StrictModes no',
    `HostKey ${home}/host`,
    `AuthorizedKeysFile ${home}/user.pub`,
    `SetEnv ${remoteEnvironment(env['PATH'])}`,
  ];
  writeFileSync(
    `${home}/config`,
    `${[...lines, 'UsePAM no', 'PermitRootLogin yes', 'ListenAddress ::', 'ListenAddress 0.0.0.0'].join('\n')}\n`,
  );
  const command = ['/usr/sbin/sshd', '-f', `${home}/config`, '-D', '-e', '-p', `${port}`];
  const within = namespace === undefined ? [] : ['ip', 'netns', 'exec', namespace];
  const [program, ...args] = [...within, ...command];
  const sshd = start(program!, args);
  await sshd.says(/Server listening on 0\.0\.0\.0/);
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes'].flatMap((option) => [
    '-o',
    option,
  ]);
  return { login: ['ssh', '-F', 'none', ...options, '-i', `${home}/user`, '-p', `${port}`, address] };
}

if (!hasSsh) test.skip('through sshd', 'no OpenSSH server and client');
else {
  test('stdin or -i, stdout or -o: the same bytes, status 0', async () => {
    await withSandbox(async (sandbox) => {
      const { login } = await startSshd(sandbox, '127.0.0.1');
      const bytes = randomBytes(rounds(2, 200) * 1024 * 1024);
      writeFileSync(`${sandbox.dir}/in`, bytes);
      for (const [hasInput, hasOutput] of [
        [true, true],
        [true, false],
        [false, true],
      ]) {
        const args = ['-b', ...(hasInput ? group('-i', 'cat', 'in') : []), ...group('-l', ...login), ...group('-r', 'cat')];
        const ended = await sandbox.run('socketpipe', [...args, ...(hasOutput ? group('-o', 'cat') : [])], hasInput ? '' : bytes);
        assert.is(ended.stderr, '');
        assert.is(ended.status, 0);
        assert.ok(ended.stdout.equals(bytes));
      }
    });
  });

  test('the address is what the login session tells, IPv6 too; one login', async () => {
    await withSandbox(async (sandbox) => {
      for (const address of ['127.0.0.1', '::1']) {
        const { login } = await startSshd(sandbox, address);
        writeFileSync(`${sandbox.dir}/once`, '#!/bin/sh\necho >> logins\nexec "$@"\n');
        chmodSync(`${sandbox.dir}/once`, 0o755);
        const args = ['-v', ...group('-i', 'echo', 'hi'), ...group('-l', './once', ...login), ...group('-r', 'cat'), ...group('-o', 'cat')];
        const ended = await sandbox.run('socketpipe', args);
        assert.is(ended.stdout.toString(), 'hi\n', ended.stderr);
        assert.ok(ended.stderr.includes(`connected to ${address} port`), ended.stderr);
      }
      assert.is(readFileSync(`${sandbox.dir}/logins`, 'utf8'), '\n\n');
    });
  });

  test('statuses cross, and a login that is refused ends it all', async () => {
    await withSandbox(async (sandbox) => {
      const { login } = await startSshd(sandbox, '127.0.0.1');
      const through = (words: string[], remote: string): Promise<Ended> =>
        sandbox.run('socketpipe', ['-b', ...group('-l', ...words), ...group('-r', 'sh', '-c', remote), ...group('-o', 'cat')]);
      assert.is((await through(login, 'echo x; exit 42')).status, 42);
      assert.is((await through(login, 'kill -KILL $$')).status, 137);
      assert.is((await through(login, 'exec no-such')).status, 127);
      const refused = await through([...login.slice(0, -1), 'nobody-here@127.0.0.1'], 'true');
      assert.is(refused.status, 255);
      assert.match(refused.stderr, /Permission denied[^]*socketpipe: cannot log in by ssh -F: it ended with status 255/);
    });
  });

  test('three hosts in a row', async () => {
    await withSandbox(async (sandbox) => {
      const first = await startSshd(sandbox, '127.0.0.1');
      const second = await startSshd(sandbox, '::1');
      const inner = [...group('-i', 'cat'), ...group('-l', ...second.login), ...group('-r', 'tr', 'a-z', 'A-Z'), ...group('-o', 'cat')];
      const args = [...group('-i', 'echo', 'far'), ...group('-l', ...first.login), ...group('-r', 'socketpipe', '-b', ...inner)];
      const ended = await sandbox.run('socketpipe', ['-b', ...args, ...group('-o', 'cat')]);
      assert.is(ended.stdout.toString(), 'FAR\n', ended.stderr);
      assert.is(ended.status, 0);
    });
  });

  test('random argument vectors arrive as they are', async () => {
    await withSandbox(async (sandbox) => {
      const { login } = await startSshd(sandbox, '127.0.0.1');
      for (let round = 0; round < rounds(3, 500); round++) {
        const words = randomArguments();
        const args = ['-b', ...group('-l', ...login), ...group('-r', 'printf', '%s\\0', 'first', ...words), ...group('-o', 'cat')];
        const ended = await sandbox.run('socketpipe', args);
        assert.equal(ended.stdout.toString().split('\0'), ['first', ...words, ''], ended.stderr);
      }
    });
  });

  test('a remote command that ends early loses nothing', async () => {
    await withSandbox(async (sandbox) => {
      const { login } = await startSshd(sandbox, '127.0.0.1');
      for (let round = 0; round < rounds(2, 200); round++) {
        const remote = group('-r', 'head', '-c', '100000');
        const ended = await sandbox.run('socketpipe', [
          '-b',
          ...group('-i', 'cat', '/dev/zero'),
          ...group('-l', ...login),
          ...remote,
          ...group('-o', 'cat'),
        ]);
        assert.is(ended.stdout.length, 100_000, `round ${round}: ${ended.stderr}`);
        assert.is(ended.status, 0);
      }
    });
  });

  test('the remote command ends with SIGTERM here, and when ssh is gone with us', async () => {
    await withSandbox(async (sandbox) => {
      const { dir, start } = sandbox;
      const { login } = await startSshd(sandbox, '127.0.0.1');
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        const remote = group('-r', 'sh', '-c', `echo $$ > ${dir}/${signal}; exec sleep 1000`);
        const program = start('socketpipe', [...group('-i', 'cat'), ...group('-l', ...login), ...remote, ...group('-o', 'cat')]);
        const path = `${dir}/${signal}`;
        const pid = await eventually('the remote command', () => existsSync(path) && Number(readFileSync(path, 'utf8')));
        assert.is((await program.stop(signal)).signal, signal);
        await eventually('its end', () => !existsSync(`/proc/${pid}`));
      }
    });
  });

  if (!isRoot || !has('ip') || !has('nft')) test.skip('firewalls', 'needs root, ip and nft');
  else {
    const ways = [
      { title: 'nothing in the way', rule: 'accept', says: /^$/, v: [/called from/] },
      {
        title: 'no call back: the direction is turned round',
        rule: 'ip daddr 10.77.0.1 tcp flags & (syn|ack) == syn drop',
        says: /^$/,
        v: [/cannot call back/, /connected to 10\.77\.0\.2/],
      },
      {
        title: 'refused both ways: through the login',
        rule: 'ip daddr 10.77.0.0/24 tcp dport != PORT tcp flags & (syn|ack) == syn reject with tcp reset',
        says: /no direct connection is possible; the data goes through the login command/,
        v: [/cannot call the remote end/],
      },
      {
        title: 'dropped both ways: through the login',
        rule: 'ip daddr 10.77.0.0/24 tcp dport != PORT tcp flags & (syn|ack) == syn drop',
        says: /no direct connection/,
        v: [/cannot call the remote end/],
      },
    ];
    for (const { title, rule, says, v } of ways) {
      test(`two hosts, ${title}`, async () => {
        await withHosts(async (sandbox, inNear, { login }) => {
          const port = login[login.indexOf('-p') + 1]!;
          filter(rule.replace('PORT', port), 'tcp flags & (syn|ack) == syn meta iifname "lo" accept');
          const bytes = randomBytes(rounds(3, 300) * 1024 * 1024);
          writeFileSync(`${sandbox.dir}/in`, bytes);
          const args = (...more: string[]): string[] => [
            ...more,
            ...group('-i', 'cat', 'in'),
            ...group('-l', ...login),
            ...group('-r', 'cat'),
            ...group('-o', 'cat'),
          ];
          for (const more of [['-b'], []]) {
            const ended = await inNear(args('-v', '-t', '12', ...more));
            assert.ok(ended.stdout.equals(bytes), ended.stderr);
            assert.is(ended.status, 0, ended.stderr);
            for (const line of v) assert.match(ended.stderr, line);
          }
          if (title.includes('drop')) return;
          const quiet = await inNear(args('-b', '-t', '12'));
          assert.match(quiet.stderr, says);
          if (!title.includes('login')) return assert.is(quiet.stderr, '');
          const direct = await inNear(args('-b', '--direct'));
          assert.match(direct.stderr, /^socketpipe: cannot reach the remote end: neither end can connect to the other\nsocketpipe: hint: /);
          assert.is(direct.status, 125);
          await statusesThroughLogin(inNear, login);
        });
      }, 120_000);
    }
  }
}

async function statusesThroughLogin(inNear: (args: string[]) => Promise<Ended>, login: string[]): Promise<void> {
  const cases: [string, string, string, number, string][] = [
    ['cat /dev/zero', 'head -c 5 | tr "\\0" x', 'cat', 0, 'xxxxx'],
    ['cat /dev/zero', 'yes', 'head -n 1', 0, 'y\n'],
    ['echo in', 'cat; exit 3', 'cat', 3, 'in\n'],
    ['true', 'kill -9 $$', 'cat', 137, ''],
    ['true', 'sleep 0.3; echo late', 'cat', 0, 'late\n'],
  ];
  for (const [input, remote, output, status, stdout] of cases) {
    const args = [
      ...group('-i', 'sh', '-c', `exec ${input}`),
      ...group('-l', ...login),
      ...group('-r', 'sh', '-c', remote),
      ...group('-o', 'sh', '-c', output),
    ];
    const ended = await inNear(['-b', ...args]);
    assert.is(ended.status, status, JSON.stringify([input, remote, ended.stderr]));
    assert.is(ended.stdout.toString(), stdout);
  }
}

const near = `sp-n${process.pid}`;
const far = `sp-f${process.pid}`;

/** Two namespaces with a cable between them: 10.77.0.1 the near, 10.77.0.2 the far one, with an sshd. */
async function withHosts(body: (sandbox: Sandbox, inNear: (args: string[]) => Promise<Ended>, host: Host) => Promise<void>): Promise<void> {
  ip(`netns add ${near}`);
  ip(`netns add ${far}`);
  try {
    ip(`link add sp0 netns ${near} type veth peer name sp0 netns ${far}`);
    for (const [at, name] of [near, far].entries()) {
      ip(`-n ${name} addr add 10.77.0.${at + 1}/24 dev sp0`);
      ip(`-n ${name} link set sp0 up`);
      ip(`-n ${name} link set lo up`);
    }
    await withSandbox(async (sandbox) => {
      const host = await startSshd(sandbox, '10.77.0.2', far);
      const inNear = (args: string[]): Promise<Ended> => sandbox.run('ip', ['netns', 'exec', near, 'socketpipe', ...args]);
      await body(sandbox, inNear, host);
    });
  } finally {
    ip(`netns del ${near}`);
    ip(`netns del ${far}`);
  }
}

/** What each of the two hosts lets in. */
function filter(...rules: string[]): void {
  for (const name of [near, far]) {
    const chain = 'add table inet t; add chain inet t in { type filter hook input priority 0; }';
    const lines = [rules[1]!, rules[0]!].map((rule) => `add rule inet t in ${rule}`);
    execFileSync('ip', ['netns', 'exec', name, 'nft', [chain, ...lines].join('; ')]);
  }
}

function ip(words: string): void {
  execFileSync('ip', words.split(' '));
}

test.run();
