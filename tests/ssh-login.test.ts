// Logging in by SSH to a real sshd: algorithms, host keys, keys and agents, settings, proxies, and everything that can fail.
import { execFileSync } from 'node:child_process';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { eventually, has, isLong, rounds, suite, type Ended } from './harness.ts';
import { childrenOf } from './processes.ts';
import { authorize, driver, withHost } from './login.ts';
import { copyOfEtc } from './users.ts';
import { freePort, knownLine, makeKey, noSshd } from './sshd.ts';

const test = suite('ssh login');
const hostile = resolve('tests/hostile-sshd.mjs');

/** It has logged in. */
function isIn(ended: Ended, about = ''): void {
  assert.equal([ended.stdout.toString(), ended.status, ended.stderr], ['in\ncannot read from ssh://box: closed here\n', 0, ''], about);
}

/** It has failed with this line, and this hint where one is given. */
function failed(ended: Ended, line: RegExp, hint?: RegExp): void {
  const [first = '', second = '', ...others] = ended.stderr.split('\n');
  assert.ok(line.test(first), `${first}\nis not like ${line}`);
  if (hint) assert.match(second, hint);
  assert.is(others.length, hint ? 1 : 0, ended.stderr);
  assert.equal([ended.status, ended.stdout.toString()], [1, '']);
}

if (noSshd !== undefined) test.skip('everything', noSshd);
else addTests();

function addTests(): void {
  test('every algorithm that is offered works', async () => {
    const hostKeys = ['ed25519', 'ecdsa', 'rsa'];
    await withHost(
      async ({ logIn, sshd }) => {
        const choices = [
          ...['curve25519-sha256', 'curve25519-sha256@libssh.org', 'ecdh-sha2-nistp256', 'ecdh-sha2-nistp384', 'ecdh-sha2-nistp521'].map(
            (name) => `KexAlgorithms ${name}`,
          ),
          ...['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'].map((name) => `HostKeyAlgorithms ${name}`),
          ...['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes192-ctr'].map((name) => `Ciphers ${name}`),
          'Ciphers aes128-ctr\nMACs hmac-sha2-256',
          'Ciphers aes256-ctr\nMACs hmac-sha2-512',
        ];
        for (const choice of choices) isIn(await logIn([choice]), choice);
        for (const name of [/kex: algorithm: ecdh-sha2-nistp521/, /host key algorithm: rsa-sha2-256/, /cipher: aes192-ctr MAC: hmac-sha2/])
          assert.match(sshd.program.stderr, name);
      },
      { hostKeys, config: ['LogLevel DEBUG1'] },
    );
  }, 180_000);

  test('a rekey asked for by the server, with packets under way', async () => {
    for (const cipher of ['aes128-gcm@openssh.com', 'aes128-ctr'])
      await withHost(
        async ({ logIn, sshd }) => {
          isIn(await logIn([`Ciphers ${cipher}`], [String(rounds(3000, 100_000))]), cipher);
          const count = sshd.program.stderr.match(/ssh_set_newkeys: rekeying in/g)?.length ?? 0;
          assert.ok(count >= 2, `${count} rekeys with ${cipher}`);
        },
        { config: ['RekeyLimit 32K', 'LogLevel DEBUG1'] },
      );
  }, 120_000);

  test('a server that has only weak algorithms is refused, and they are named', async () => {
    const cases: [string, RegExp][] = [
      [
        'KexAlgorithms diffie-hellman-group14-sha1,diffie-hellman-group14-sha256',
        /no key exchange in common; .* diffie-hellman-group14-sha1,/,
      ],
      ['Ciphers aes128-cbc,aes256-cbc', /no cipher in common; the server offers only aes128-cbc, aes256-cbc$/],
      ['MACs hmac-sha1,hmac-md5', /no MAC in common; the server offers only hmac-sha1, hmac-md5$/],
    ];
    for (const [line, reason] of cases)
      await withHost(async ({ logIn }) => failed(await logIn([]), reason, /safe algorithms/), { config: [line, 'Ciphers aes128-ctr'] });
    await withHost(async ({ logIn, known }) => {
      failed(
        await logIn(['HostKeyAlgorithms rsa-sha2-512']),
        /^login: cannot connect to ssh:\/\/box: no host key in common; .* only ssh-ed25519$/,
        /safe/,
      );
      failed(
        await logIn(['Ciphers aes128-cbc']),
        /^login: cannot read the ssh settings for ssh:\/\/box: they allow no cipher that is safe and known here$/,
      );
      assert.ok(existsSync(known));
    });
  }, 120_000);

  test('a byte changed on the way ends the connection', async () => {
    for (const cipher of ['aes128-gcm@openssh.com', 'aes128-ctr'])
      await withHost(async ({ sshd, startLogin }) => {
        const relay = await startFlipper(sshd.port);
        const program = startLogin([`Port ${relay.port}`, `HostKeyAlias [127.0.0.1]:${sshd.port}`, `Ciphers ${cipher}`], ['stay'], {
          DIPUS_TIME_SCALE: '0.1',
        });
        assert.is(await program.line(30_000), 'in');
        relay.flip();
        const { stderr, status } = await program.ended;
        assert.equal([stderr, status], ['login: cannot read from ssh://box: the server breaks the protocol: Invalid HMAC\n', 1], cipher);
        relay.close();
      });
  }, 60_000);

  test('an unknown host key: refused without a terminal, taken as the settings say', async () => {
    await withHost(async ({ dir, sshd, known, logIn }) => {
      const name = `\\[127\\.0\\.0\\.1\\]:${sshd.port}`;
      const fingerprint = execFileSync('ssh-keygen', ['-lf', `${sshd.dir}/host-ed25519.pub`], { encoding: 'utf8' }).split(' ')[1]!;
      rmSync(known);
      const unknown = (ended: Ended): void => {
        failed(
          ended,
          /^login: cannot trust ssh:\/\/box: its host key is not known: ED25519 key SHA256:/,
          /^login: hint: log in once by ssh, or add a line/,
        );
        assert.ok(ended.stderr.includes(fingerprint) && new RegExp(name).test(ended.stderr), ended.stderr);
      };
      for (const lines of [[], ['StrictHostKeyChecking yes'], ['BatchMode yes']]) unknown(await logIn(lines));
      assert.not.ok(existsSync(known));
      for (const [at, value] of ['accept-new', 'no'].entries()) {
        const file = `${dir}/new${at}/.ssh/known_hosts`;
        const lines = [`StrictHostKeyChecking ${value}`, `UserKnownHostsFile ${file}`, `HashKnownHosts ${at === 0 ? 'yes' : 'no'}`];
        isIn(await logIn(lines));
        const modes = [`${dir}/new${at}/.ssh`, file].map((path) => (statSync(path).mode & 0o777).toString(8));
        assert.equal(modes, ['700', '600']);
        assert.match(readFileSync(file, 'utf8'), at === 0 ? /^\|1\|.* ssh-ed25519 \S+\n$/ : new RegExp(`^${name} ssh-ed25519 \\S+\n$`));
        // ssh reads what we have written, and so do we.
        assert.match(execFileSync('ssh-keygen', ['-F', `[127.0.0.1]:${sshd.port}`, '-f', file], { encoding: 'utf8' }), /ssh-ed25519/);
        isIn(await logIn(['StrictHostKeyChecking yes', `UserKnownHostsFile ${file}`]));
      }
      failed(
        await logIn(['StrictHostKeyChecking accept-new', 'UserKnownHostsFile none', `IdentityFile none`, 'IdentityAgent none']),
        /permission denied/,
        /terminal/,
      );
    });
  }, 120_000);

  test('a known host key in all its forms', async () => {
    await withHost(
      async ({ dir, sshd, known, logIn }) => {
        const own = `${sshd.dir}/host-ed25519.pub`;
        const strict = ['StrictHostKeyChecking yes'];
        for (const names of ['[127.0.0.*]:*', `box,[127.0.0.1]:${sshd.port}`, '*']) {
          writeFileSync(known, knownLine(names, own));
          isIn(await logIn(strict), names);
        }
        writeFileSync(known, knownLine('stereo', own));
        isIn(await logIn([...strict, 'HostKeyAlias Stereo']));
        // The key may be in any of the files.
        rmSync(known);
        writeFileSync(`${dir}/second`, knownLine('*', own));
        isIn(await logIn([...strict, `UserKnownHostsFile ${known} ${dir}/second`]));
        isIn(await logIn([...strict, `GlobalKnownHostsFile ${dir}/second`]));
        // The key that is known is asked for, though the server has others.
        writeFileSync(known, knownLine('*', `${sshd.dir}/host-rsa.pub`));
        isIn(await logIn(strict));
        // A certificate cannot be checked.
        writeFileSync(known, `@cert-authority ${knownLine('*', own)}`);
        failed(
          await logIn([]),
          /not known/,
          /host certificates are not supported\. ssh can carry a socket: ssh -N -L LOCAL\.sock:REMOTE\.sock ssh:\/\/box;/,
        );
      },
      { hostKeys: ['ed25519', 'rsa'] },
    );
  }, 60_000);

  test('a changed or revoked host key is refused, whatever the settings', async () => {
    await withHost(async ({ dir, sshd, known, logIn }) => {
      makeKey(`${dir}/other`);
      const name = `[127.0.0.1]:${sshd.port}`;
      const changed = `${knownLine('elsewhere', `${dir}/other.pub`)}${knownLine(name, `${dir}/other.pub`)}`;
      writeFileSync(known, changed);
      for (const value of ['yes', 'ask', 'accept-new', 'no'])
        failed(
          await logIn([`StrictHostKeyChecking ${value}`]),
          new RegExp(
            String.raw`^login: cannot trust ssh:\/\/box: ITS HOST KEY HAS CHANGED, or somebody else answers: it shows ` +
              String.raw`ED25519 key SHA256:.* instead of the known ED25519 key SHA256:.* \(.*known:2\)$`,
          ),
          /^login: hint: if its administrator confirms the new key: ssh-keygen -f .*known -R '\[127\.0\.0\.1\]:\d+'$/,
        );
      assert.is(readFileSync(known, 'utf8'), changed);
      // A key of another type is no less of a change.
      makeKey(`${dir}/rsa`, 'rsa');
      writeFileSync(known, knownLine(name, `${dir}/rsa.pub`));
      failed(await logIn([]), /CHANGED.* instead of the known RSA key/, /ssh-keygen/);
      writeFileSync(known, `${sshd.knownHosts}@revoked ${knownLine('*', `${sshd.dir}/host-ed25519.pub`)}`);
      failed(await logIn(['StrictHostKeyChecking no']), /ITS HOST KEY IS REVOKED \(.*known:2\): ED25519 key SHA256:/);
    });
  }, 60_000);

  test('a small RSA host key', async () => {
    await withHost(
      async ({ logIn }) => failed(await logIn([]), /^login: cannot trust ssh:\/\/box: its RSA key has 1024 bits, fewer than 2048$/),
      {
        hostKeys: ['rsa'],
        hostKeyBits: 1024,
        config: ['RequiredRSASize 1024'],
      },
    );
  });

  test('key files of every type and format', async () => {
    await withHost(async (host) => {
      const { dir, logIn } = host;
      const kinds: [type: string, format: string, extra: string[]][] = [
        ['ed25519', 'OpenSSH', []],
        ...['256', '384', '521'].map((bits): [string, string, string[]] => ['ecdsa', 'OpenSSH', ['-b', bits]]),
        ['rsa', 'OpenSSH', []],
        ['rsa', 'PEM', ['-m', 'PEM']],
        ['ecdsa', 'PEM', ['-m', 'PEM']],
        ['rsa', 'PKCS8', ['-m', 'PKCS8']],
        ['ecdsa', 'PKCS8', ['-m', 'PKCS8']],
      ];
      for (const [at, [type, format, extra]] of kinds.entries()) {
        const file = `${dir}/keys/${at}`;
        authorize(host, makeKey(file, type, '', extra));
        // The public file is a help, not a need.
        if (at % 2 === 0) rmSync(`${file}.pub`);
        isIn(await logIn([`IdentityFile ${file}`]), `${type} ${format} ${extra.join(' ')}`);
      }
    });
  }, 120_000);

  test('a server that takes RSA keys by rsa-sha2-256 only', async () => {
    await withHost(
      async (host) => {
        const file = `${host.dir}/keys/rsa`;
        authorize(host, makeKey(file, 'rsa'));
        isIn(await host.logIn([`IdentityFile ${file}`]));
      },
      { config: ['PubkeyAcceptedAlgorithms rsa-sha2-256'] },
    );
  });

  test('what was tried, and what could not be', async () => {
    await withHost(
      async ({ dir, key, logIn }) => {
        const only = ['IdentityFile none', 'PreferredAuthentications publickey'];
        failed(
          await logIn(only),
          new RegExp(
            String.raw`^login: cannot log in to ssh:\/\/box: permission denied for root; the server takes publickey, ` +
              String.raw`password, keyboard-interactive; tried nothing$`,
          ),
          /a password can be typed only on a terminal/,
        );
        makeKey(`${dir}/keys/stranger`);
        makeKey(`${dir}/keys/open`);
        chmodSync(`${dir}/keys/open`, 0o644);
        makeKey(`${dir}/keys/locked`, 'ed25519', 'secret');
        writeFileSync(`${dir}/keys/text`, 'hello\n', { mode: 0o600 });
        writeFileSync(`${dir}/keys/damaged`, readFileSync(key, 'utf8').replace(/AAAA/g, 'BBBB'), { mode: 0o600 });
        const files = ['stranger', 'open', 'locked', 'text', 'damaged', 'missing'].map((name) => `IdentityFile ${dir}/keys/${name}`);
        isIn(await logIn([...files, `IdentityFile ${key}`]));
        const refused = await logIn(files);
        const said = refused.stderr.replaceAll(`${dir}/keys/`, '');
        assert.match(
          said,
          /tried stranger, locked; not usable open: its mode 0644 lets others use it \(chmod 600\), text: holds no private key, damaged: /,
        );
        assert.not.match(said, /missing/);
      },
      { config: ['KbdInteractiveAuthentication yes'] },
    );
  }, 60_000);

  test('an encrypted key without a terminal is not usable', async () => {
    await withHost(async (host) => {
      const file = `${host.dir}/keys/locked`;
      authorize(host, makeKey(file, 'ed25519', 'secret'));
      rmSync(host.key);
      failed(await host.logIn([`IdentityFile ${file}`]), /tried .*locked; not usable .*locked: its passphrase is not known$/, /terminal/);
    });
  });

  test('too many keys: the server says so', async () => {
    await withHost(
      async ({ dir, logIn }) => {
        for (const name of ['a', 'b', 'c']) makeKey(`${dir}/keys/${name}`);
        const files = ['a', 'b', 'c'].map((name) => `IdentityFile ${dir}/keys/${name}`);
        failed(
          await logIn(files),
          /^login: cannot log in to ssh:\/\/box: the server closed the connection: Too many authentication failures/,
        );
      },
      { config: ['MaxAuthTries 2'] },
    );
  });

  test('keys of an agent', async () => {
    await withHost(async (host) => {
      const { dir, start, run, logIn, key, sshd } = host;
      const socket = `${dir}/agent`;
      const agent = start('ssh-agent', ['-D', '-a', socket]);
      await eventually('the agent listens', () => existsSync(socket), 30_000);
      const agentEnv = { SSH_AUTH_SOCK: socket };
      const add = async (file: string): Promise<void> => {
        const { status, stderr } = await run('ssh-add', ['-q', file], '', { env: { ...host.env, ...agentEnv } });
        assert.is(status, 0, stderr);
      };
      const none = ['IdentityFile none', 'PreferredAuthentications publickey'];
      failed(await logIn(none, [], agentEnv), /tried nothing/, /terminal/);
      for (const type of ['rsa', 'ecdsa', 'ed25519']) {
        const file = `${dir}/keys/in-${type}`;
        const line = makeKey(file, type);
        await add(file);
        writeFileSync(`${sshd.dir}/authorized_keys`, line);
        isIn(await logIn(none, [], agentEnv), type);
        isIn(await logIn([...none, `IdentityAgent ${socket}`]), type);
      }
      failed(await logIn([...none, 'IdentityAgent none'], [], agentEnv), /tried nothing/, /terminal/);
      // Only what the files name: the public file alone is enough.
      await add(key);
      writeFileSync(`${sshd.dir}/authorized_keys`, readFileSync(`${dir}/keys/in-rsa.pub`));
      const strict = ['IdentitiesOnly yes', 'PreferredAuthentications publickey'];
      failed(await logIn(strict, [], agentEnv), /tried agent key test$/m, /terminal/);
      copyFileSync(`${dir}/keys/in-rsa.pub`, `${dir}/keys/public.pub`);
      isIn(await logIn([...strict, `IdentityFile ${dir}/keys/public`], [], agentEnv));
      isIn(await logIn([...strict, `IdentityFile ${dir}/keys/public.pub`], [], agentEnv));
      await agent.stop();
      failed(await logIn(strict, [], agentEnv), /tried .*own; not usable agent: .*agent: (connection refused|no such file)/, /terminal/);
    });
  }, 120_000);

  test('certificates: named, with the way out', async () => {
    await withHost(async ({ dir, start, run, env, logIn, key, sshd }) => {
      makeKey(`${dir}/ca`);
      execFileSync('ssh-keygen', ['-q', '-s', `${dir}/ca`, '-I', 'id', '-n', 'root', `${key}.pub`]);
      const socket = `${dir}/agent`;
      start('ssh-agent', ['-D', '-a', socket]);
      await eventually('the agent listens', () => existsSync(socket), 30_000);
      await run('ssh-add', ['-q', key], '', { env: { ...env, SSH_AUTH_SOCK: socket } });
      writeFileSync(`${sshd.dir}/authorized_keys`, '');
      failed(
        await logIn(['IdentityFile none', `CertificateFile ${key}-cert.pub`], ['ssh://nobody@box'], { SSH_AUTH_SOCK: socket }),
        new RegExp(
          String.raw`^login: cannot log in to ssh:\/\/nobody@box: permission denied for nobody; .*; not usable ` +
            String.raw`agent key .*: certificates are not supported, `,
        ),
        new RegExp(
          String.raw`^login: hint: ssh can carry a socket: ssh -N -L LOCAL\.sock:REMOTE\.sock ssh:\/\/nobody@box; ` +
            String.raw`then use unix:\/\/\/DIR\/LOCAL\.sock$`,
        ),
      );
    });
  });

  test('a server that takes only what dipus cannot: the way out is shown', async () => {
    await withHost(
      async ({ logIn }) =>
        failed(
          await logIn([]),
          new RegExp(
            String.raw`^login: cannot log in to ssh:\/\/box: permission denied for root; the server takes ` +
              String.raw`(?:gssapi-keyex, )?gssapi-with-mic; tried nothing$`,
          ),
          /^login: hint: ssh can carry a socket: ssh -N -L LOCAL\.sock:REMOTE\.sock ssh:\/\/box; then use unix:\/\/\/DIR\/LOCAL\.sock$/,
        ),
      { config: ['PubkeyAuthentication no', 'PasswordAuthentication no', 'KbdInteractiveAuthentication no', 'GSSAPIAuthentication yes'] },
    );
  });

  test('the settings of the user, and those of the URI before them', async () => {
    await withHost(async ({ sshd, logIn }) => {
      isIn(await logIn([]));
      const wrong = await freePort();
      const ended = await logIn([`Port ${wrong}`], [`ssh://root@127.0.0.1:${sshd.port}`]);
      assert.match(ended.stderr, /log in to ssh:\/\/root@127\.0\.0\.1:\d+: permission denied|trust/);
      const users = (): string[] => [...sshd.program.stderr.matchAll(/Accepted publickey for (\w+)/g)].map(([, user]) => user!);
      isIn(await logIn(['User nobody']));
      assert.match((await logIn(['User nobody'], ['ssh://daemon@box'])).stdout.toString(), /^in\n/);
      assert.equal(users().slice(-2), ['nobody', 'daemon']);
      failed(
        await logIn(['NoSuchSetting yes']),
        /^login: cannot read the ssh settings for ssh:\/\/box: .*Bad configuration option|terminating/i,
      );
    });
  }, 60_000);

  test('without an ssh program the defaults count', async () => {
    await withHost(async ({ dir, sshd, key, env, run }) => {
      mkdirSync(`${dir}/none`);
      mkdirSync(`${dir}/home/.ssh`, { recursive: true });
      const uri = `ssh://root@127.0.0.1:${sshd.port}`;
      // The home is that of the account, whatever HOME says: an account that has one in the sandbox.
      const etc = copyOfEtc(dir);
      writeFileSync(`${etc}/passwd`, readFileSync('/etc/passwd', 'utf8').replace(/^(root:.*:)[^:]*(:[^:]*)$/m, `$1${dir}/home$2`));
      const script = 'mount --bind "$0" /etc && PATH=$1 && shift && exec "$@"';
      const logInAlone = (...args: string[]): Promise<Ended> => {
        const command = ['-m', '/bin/sh', '-c', script, etc, `${dir}/none`, process.execPath, driver, ...args];
        return run('unshare', command, '', { env: { ...env, HOME: '/nonexistent', SSH_AUTH_SOCK: undefined }, detached: true });
      };
      const unknown = await logInAlone('-v', uri);
      assert.match(unknown.stderr, /^login: there is no ssh on PATH: no ssh_config is read, the defaults count\n/);
      assert.match(unknown.stderr, /its host key is not known/);
      copyFileSync(key, `${dir}/home/.ssh/id_ed25519`);
      writeFileSync(`${dir}/home/.ssh/known_hosts`, sshd.knownHosts);
      assert.match((await logInAlone(uri)).stdout.toString(), /^in\n/);
    });
  });

  test('by another host, by a command, and what fails there', async () => {
    await withHost(async (host) => {
      const { sshd, known, key, logIn } = host;
      const jump = [
        'Host jump',
        'HostName 127.0.0.1',
        `Port ${sshd.port}`,
        `IdentityFile ${key}`,
        `UserKnownHostsFile ${known}`,
        'User root',
        'Host box',
        `IdentityFile ${key}`,
        'ProxyJump jump',
      ];
      const before = sshd.program.stderr.match(/Accepted publickey/g)?.length ?? 0;
      isIn(await logIn(jump));
      assert.is((sshd.program.stderr.match(/Accepted publickey/g)?.length ?? 0) - before, 2);
      isIn(await logIn([...jump.slice(0, -1), `ProxyJump root@jump:${sshd.port},jump`]));
      if (has('nc')) isIn(await logIn(['ProxyCommand nc %h %p']));
      else test.skip('by nc', 'there is no nc');
      failed(
        await logIn(['ProxyCommand echo no way >&2; exit 7']),
        /^login: cannot connect to ssh:\/\/box: the proxy ended \(echo no way >&2; exit 7\): no way$/,
      );
      failed(
        await logIn(['ProxyCommand sh -c "exit 7"']),
        /^login: cannot connect to ssh:\/\/box: the proxy ended \(sh -c "exit 7"\): status 7$/,
      );
      failed(
        await logIn(['ProxyCommand /no/such/program']),
        /^login: cannot connect to ssh:\/\/box: the proxy ended \(\/no\/such\/program\): .*not found$/,
      );
      const closed = await freePort();
      failed(
        await logIn([...jump, `Port ${closed}`]),
        /^login: cannot connect to ssh:\/\/box: the proxy ended \(ssh -W \[127\.0\.0\.1\]:\d+ -- jump\): .+$/,
      );
    });
  }, 90_000);

  test('what is no sshd, or does not answer', async () => {
    await withHost(async ({ logIn }) => {
      const closed = await freePort();
      failed(await logIn([`Port ${closed}`]), /^login: cannot connect to ssh:\/\/box: connection refused$/);
      failed(
        await logIn(['HostName no-such-host.invalid']),
        /^login: cannot connect to ssh:\/\/box: (no such host name|its name cannot be looked up now: the name service does not answer)$/,
      );
      const cases: [(socket: Socket) => void, RegExp][] = [
        [(socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'), /it is not an SSH server: it says "HTTP\/1\.1 400 Bad Request"$/],
        [(socket) => socket.write('220 mail\u001b[2J ready\r\n'), /it is not an SSH server: it says "220 mail\\u\{1b\}\[2J ready"$/],
        [(socket) => socket.write(Buffer.alloc(40_000, 'a\n')), /it is not an SSH server: it says "a"$/],
        [
          (socket) => socket.end(),
          /the server closed the connection before it said anything: it may have too many \(MaxStartups\), or want none from here$/,
        ],
        [(socket) => socket.end('Exceeded MaxStartups\r\n'), /the server takes no connection now: it says "Exceeded MaxStartups"$/],
        [() => {}, /no answer within 1 s$/],
        [(socket) => socket.end('SSH-2.0-x\r\n'), /the connection was lost$/],
        [(socket) => socket.write('SSH-1.5-old\r\n'), /the server breaks the protocol: Protocol version not supported$/],
        [
          (socket) => socket.write('SSH-2.0-x\r\n\0\0\0\u000c\u000a\u0015aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'),
          /the server breaks the protocol: /,
        ],
      ];
      for (const [greet, reason] of cases) {
        const server = await listen(greet);
        try {
          failed(await logIn([`Port ${portOf(server)}`], [], { DIPUS_TIME_SCALE: '0.1' }), reason);
        } finally {
          server.close();
        }
      }
    });
  }, 120_000);

  test('a server that shows a key which is not its own', async () => {
    await withHost(async ({ dir, known, start, logIn }) => {
      for (const type of ['ed25519', 'ecdsa', 'rsa']) {
        for (const name of ['own', 'claimed']) makeKey(`${dir}/${name}-${type}`, type);
        writeFileSync(known, knownLine('*', `${dir}/claimed-${type}.pub`));
        const liar = start(process.execPath, [hostile, `${dir}/own-${type}`, 'claims', `${dir}/claimed-${type}`]);
        const ended = await logIn([`Port ${await liar.line(30_000)}`]);
        failed(
          ended,
          type === 'rsa'
            ? /^login: cannot connect to ssh:\/\/box: no host key in common; the server offers only ssh-rsa$/
            : /^login: cannot connect to ssh:\/\/box: the server breaks the protocol: Handshake failed: signature verification failed$/,
          ...(type === 'rsa' ? [/safe algorithms/] : []),
        );
        await liar.stop();
      }
      // The same server is believed where the key is its own.
      writeFileSync(known, knownLine('*', `${dir}/own-ed25519.pub`));
      const honest = start(process.execPath, [hostile, `${dir}/own-ed25519`, 'claims']);
      isIn(await logIn([`Port ${await honest.line(30_000)}`]));
    });
  }, 60_000);

  test('a server that says what it may not say', async () => {
    // NEWKEYS, CHANNEL_OPEN, CHANNEL_DATA, KEXDH_REPLY, KEXINIT, USERAUTH_SUCCESS, INFO_REQUEST: out of turn, cut, or with wild lengths.
    const all = ['15', '5a000000', '5e00000000ffffffff', '1f00000004aaaaaaaa', '14ffff', '34', '3cffffffffffff', '01', '00', ''];
    const payloads = all.filter((_, at) => isLong || at % 2 === 0);
    await withHost(async ({ dir, known, start, startLogin }) => {
      makeKey(`${dir}/own`);
      writeFileSync(known, knownLine('*', `${dir}/own.pub`));
      for (const when of ['kex', 'keys', 'auth', 'in']) {
        const server = start(process.execPath, [hostile, `${dir}/own`, [when, ...payloads].join(':')]);
        const port = await server.line(30_000);
        const endings = payloads.map(() => startLogin([`Port ${port}`], [], { DIPUS_TIME_SCALE: '0.1' }).ended);
        for (const { stderr, signal } of await Promise.all(endings)) {
          assert.match(
            stderr,
            /^(?:login: cannot (?:connect to|log in to|read) ssh:\/\/box: .*\n(?:login: hint: .*\n)?)?$/,
            `${when}: ${stderr}`,
          );
          assert.is(signal, null);
          // Before the keys nothing else may be said at all.
          if (when === 'kex') assert.match(stderr, /breaks the protocol|no answer within|closed the connection|connection was lost/);
        }
        await server.stop();
      }
    });
  }, 120_000);

  test('a server that falls silent, and one that dies', async () => {
    await withHost(async ({ sshd, startLogin }) => {
      const relay = await startFlipper(sshd.port);
      const lines = [`Port ${relay.port}`, `HostKeyAlias [127.0.0.1]:${sshd.port}`];
      const silent = startLogin(lines, ['stay'], { DIPUS_TIME_SCALE: '0.1' });
      assert.is(await silent.line(30_000), 'in');
      relay.hold();
      const { stderr } = await silent.ended;
      assert.is(stderr, 'login: cannot read from ssh://box: no answer for 3 s\n');
      relay.close();
      const cut = startLogin([], ['stay']);
      assert.is(await cut.line(30_000), 'in');
      // The processes of the session; the listener is their parent.
      for (const pid of childrenOf(sshd.program.pid)) process.kill(pid, 'SIGKILL');
      assert.is((await cut.ended).stderr, 'login: cannot read from ssh://box: the connection was lost\n');
    });
  }, 60_000);

  test('a signal while logging in', async () => {
    await withHost(async ({ startLogin }) => {
      const server = await listen(() => {});
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
        const program = startLogin([`Port ${portOf(server)}`]);
        const [socket] = (await once(server, 'connection')) as [Socket];
        program.signal(signal);
        const ended = await program.ended;
        assert.match(ended.stderr, /^login: cannot connect to ssh:\/\/box: interrupted\n$/);
        assert.is(ended.signal, signal);
        socket.destroy();
      }
      server.close();
    });
  });
}

async function listen(greet: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {}).resume();
    greet(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Relays to a server; can change the next byte that it says, or let nothing through any more. */
async function startFlipper(port: number): Promise<{ port: number; flip(): void; hold(): void; close(): void }> {
  let isFlipped = false;
  let isHeld = false;
  const server = createServer((client) => {
    const there = connect(port, '127.0.0.1');
    client.on('error', () => {}).on('close', () => there.destroy());
    there.on('error', () => {}).on('close', () => client.destroy());
    client.on('data', (chunk) => isHeld || there.write(chunk));
    there.on('data', (chunk) => {
      if (isFlipped) chunk[chunk.length - 1]! ^= 1;
      if (!isHeld) client.write(chunk);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: portOf(server), flip: () => (isFlipped = true), hold: () => (isHeld = true), close: () => server.close() };
}

test.run();
