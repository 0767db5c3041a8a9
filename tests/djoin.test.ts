// djoin: what it refuses, and what it says.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer as createPlainServer, type AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import * as assert from 'uvu/assert';
import { loadIdentity } from '@dipus/seps/identity';
import { invite, openInvitations } from '@dipus/seps/invitations';
import { makeCode } from '@dipus/seps/pair-proof';
import { eventually, has, suite, withSandbox } from './harness.ts';
import { asRoot, withPair, until } from './pairing-pair.ts';
import { commandOf } from './processes.ts';
import { withScreen } from './tmux.ts';

const test = suite('djoin');

test('djoin: what it refuses, and what it says', () =>
  withPair(async ({ run, encode, laptop, port, read }) => {
    const at = `127.0.0.1:${port}`;
    const fails = async (args: string[], input: string, stderr: RegExp): Promise<void> => {
      const ended = await run('djoin', args, input);
      assert.match(ended.stderr, stderr);
      assert.is(ended.stdout.toString(), '');
      assert.is(ended.status, stderr.source.includes('--help') || /missing|NAME|OPTION|unexpected/.test(stderr.source) ? 2 : 1);
    };
    await fails(['a,b'], '', /^djoin: HOST "a,b": host a,b is not a name\ndjoin: hint: see djoin --help/);
    await fails([at, 'x', 'max=1'], '', /^djoin: unexpected operand max=1\ndjoin: hint: options are for --both/);
    await fails(['--both', `[::1]:${port}`], '', /^djoin: NAME is missing, and HOST ::1 cannot be one/);
    await fails(['--both', at, 'x', 'mx=1'], '', /^djoin: OPTION: unknown option mx/);
    await fails([at], 'hello\n', /^djoin: cannot read the code: it is not 16 letters and digits/);
    await fails([at], `${makeCode()}\n`, /no such invitation\ndjoin: hint: a code is good once .* is it that of 127\.0\.0\.1:\d+\?/);
    await fails(
      ['127.0.0.1:1'],
      makeCode(),
      /^djoin: cannot connect to seps:\/\/127\.0\.0\.1:1: connection refused\ndjoin: hint: does dexport/,
    );
    assert.is(read(laptop, 'known_peers'), '');

    const { pin } = loadIdentity(encode);
    mkdirSync(laptop.dir, { recursive: true });
    writeFileSync(`${laptop.dir}/known_peers`, `@revoked ${pin}\n`, { mode: 0o600 });
    const code = invite(encode, { name: 'laptop', options: [], until: until() });
    await fails([at], code, /^djoin: cannot trust seps:\/\/\S+: ITS KEY IS REVOKED \(\S+\/known_peers:1\)\n$/);
    assert.is(openInvitations(encode).length, 1);

    // Another key of the same host, and the other way as well.
    const other = loadIdentity(laptop).pin;
    writeFileSync(`${laptop.dir}/known_peers`, `${at} ${other}\n`, { mode: 0o600 });
    const joined = await run('djoin', ['--both', at, 'studio', 'service=a b', ...asRoot], code);
    assert.is(joined.stdout.toString(), `+ studio ${pin}\n`);
    assert.match(joined.stderr, /^djoin: \S+known_peers:1 has another key of 127\S+: remove that line if that one is no longer used\n$/);
    assert.is(read(laptop, 'known_peers'), `${at} ${other}\n${at} ${pin} studio\n`);
    assert.is(read(laptop, 'authorized_peers'), `${[pin, 'studio', '"service=a b"', ...asRoot].join(' ')}\n`);
  }));

test('a server that does not pair', () =>
  withPair(async ({ run, laptop }) => {
    const plain = createPlainServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await once(plain.listen(0, '127.0.0.1'), 'listening');
    const spoken = await run('djoin', [`127.0.0.1:${(plain.address() as AddressInfo).port}`], makeCode());
    plain.close();
    assert.match(spoken.stderr, /^djoin: cannot connect to seps:\/\/\S+: it speaks sep:\/\/ here, unencrypted\n$/);
    const { key, cert } = loadIdentity(laptop);
    const server = createServer({ key, cert }).on('tlsClientError', () => {});
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    assert.match((await run('djoin', [`127.0.0.1:${port}`], makeCode())).stderr, /it speaks TLS, but is no exporter\n$/);
    server.close();
  }));

const terminalGoes = 'a terminal that goes while a question is asked there ends it as it ends others';
if (has('tmux')) {
  test(terminalGoes, () =>
    withSandbox(async (sandbox) => {
      const { dir, env } = sandbox;
      const pid = await withScreen(sandbox, env, async (screen) => {
        await screen.type('clear; echo $$ > pid; exec djoin 127.0.0.1:1 2> said', 'Enter');
        await screen.shows(/Code: ?$/m);
        return Number(readFileSync(`${dir}/pid`, 'utf8'));
      });
      await eventually('its end', () => commandOf(pid) === '');
      assert.is(readFileSync(`${dir}/said`, 'utf8'), '');
    }),
  );
} else test.skip(terminalGoes, 'there is no tmux');

test.run();
