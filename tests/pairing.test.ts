// Pairing: two users of one host with keys of their own, an exporter's side of the pairing, and somebody in between.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer as createPlainServer, type AddressInfo } from 'node:net';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import * as assert from 'uvu/assert';
import { Failure } from '@dipus/proto/failure';
import { authorize, type Grant, type Refusal } from '@dipus/proto/grant';
import type { Pin } from '@dipus/proto/pin';
import { timing } from '@dipus/proto/timing';
import { watchAuthorizedPeers } from '@dipus/seps/authorized-peers';
import type { Channels } from '@dipus/seps/channels';
import { dial } from '@dipus/seps/dial';
import { Door } from '@dipus/seps/door';
import type { Peer } from '@dipus/seps/peer';
import { pinOfKey } from '@dipus/seps/certificate';
import { configFolder, type ConfigFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { invite, openInvitations, takeBack } from '@dipus/seps/invitations';
import { join } from '@dipus/seps/join';
import { bindingOf, keyOfCode, makeCode, proofOf, readCode } from '@dipus/seps/pair-proof';
import { protocolName } from '@dipus/seps/secured';
import { servePairing, takeInvitation, type JoinAnswer, type JoinRequest } from '@dipus/seps/pairing';
import { readTrust } from '@dipus/tree/trust';
import { eventually, has, suite, withSandbox, type Sandbox } from './harness.ts';
import { withDoor } from './seps-door.ts';
import { withScreen } from './tmux.ts';

const test = suite('pairing');
// The exporter of root maps keys to users.
const asRoot = process.geteuid!() === 0 ? ['user=root'] : [];
const never = new AbortController().signal;

interface Pair extends Sandbox {
  /** The exporter's folder, and the joiner's, which is that of the sandbox's programs. */
  readonly encode: ConfigFolder;
  readonly laptop: ConfigFolder;
  /** For programs that are the exporter's. */
  readonly encodeEnv: NodeJS.ProcessEnv;
  readonly port: number;
  /** What the exporter's side has told. */
  readonly told: string[];
  read(folder: ConfigFolder, name: string): string;
}

type Take = (request: JoinRequest) => JoinAnswer | Promise<JoinAnswer>;

function withPair(body: (pair: Pair) => Promise<void>, takeBy?: (encode: ConfigFolder) => Take): Promise<void> {
  return withSandbox(async (sandbox) => {
    const folderAt = (name: string): ConfigFolder => configFolder({ DIPUS_CONFIG: `${sandbox.dir}/${name}` }, readTrust({}));
    const [encode, laptop] = [folderAt('encode'), folderAt('config')];
    const told: string[] = [];
    const take = takeBy?.(encode) ?? ((request): JoinAnswer => takeInvitation(encode, request));
    const server = await pairingServer(encode, take, told);
    try {
      await body({
        ...sandbox,
        encode,
        laptop,
        encodeEnv: { ...sandbox.env, DIPUS_CONFIG: encode.dir },
        port: (server.address() as AddressInfo).port,
        told,
        read: ({ dir }, name) => (existsSync(`${dir}/${name}`) ? readFileSync(`${dir}/${name}`, 'utf8') : ''),
      });
    } finally {
      server.close();
    }
  });
}

async function pairingServer(folder: ConfigFolder, take: Take, told: string[]): Promise<Server> {
  const { key, cert } = loadIdentity(folder);
  const serve = servePairing({
    take,
    joined: (name, pin) => void told.push(`+ ${name} ${pin}`),
    explain: (line) => void told.push(line),
    warn: (error) => void told.push(String(error)),
  });
  const settings = { key, cert, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false, allowHalfOpen: true } as const;
  const server = createServer({ ...settings, ALPNProtocols: [protocolName.pairing] }, (socket) =>
    serve(socket, { pin: pinOf(socket), address: socket.remoteAddress! }),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

function pinOf(socket: TLSSocket): Pin {
  return pinOfKey(socket.getPeerX509Certificate()!.publicKey);
}

const until = (): number => Date.now() + 60_000;

/** What a joiner gets: the exporter's pin, or why not. */
async function joinAs(folder: ConfigFolder, port: number, { code, name = 'kigbook' }: { code: string; name?: string }): Promise<string> {
  try {
    const options = { identity: loadIdentity(folder), code: readCode(code)!, name, stop: never, check: (): void => {} };
    return await join({ host: '127.0.0.1', port }, options);
  } catch (error) {
    assert.instance(error, Failure);
    return (error as Failure).message.replace(/ seps:\/\/127\.0\.0\.1:\d+/, '');
  }
}

const noInvitation = 'cannot pair with: no such invitation';

test('codes: what is printed, and how it may be typed', () => {
  for (let round = 0; round < 200; round++) {
    const code = makeCode();
    assert.match(code, /^(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
    assert.is(readCode(code), code.replaceAll('-', ''));
  }
  const table: [typed: string, code: string | undefined][] = [
    ['k7qf 2m4x 9trb cehj', 'K7QF2M4X9TRBCEHJ'],
    ['K7QF2M4X9TRBCEHJ', 'K7QF2M4X9TRBCEHJ'],
    [' k7qf-2m4x - 9trb\tcehj\r', 'K7QF2M4X9TRBCEHJ'],
    ['oOiI lL00 1111 aaaa', '001111001111AAAA'],
    ['K7QF-2M4X-9TRB-CEH', undefined],
    ['K7QF-2M4X-9TRB-CEHJ-1', undefined],
    ['K7QF-2M4X-9TRB-CEHU', undefined],
    ['', undefined],
  ];
  for (const [typed, code] of table) assert.is(readCode(typed), code, typed);
});

test('two commands pair two keys', () =>
  withPair(async ({ start, run, encode, laptop, encodeEnv, port, read, told, dir }) => {
    const inviting = start('dinvite', ['laptop', 'service=audio', 'until=2099-01-31', ...asRoot], { env: encodeEnv });
    const code = await inviting.line();
    assert.equal(readdirSync(`${encode.dir}/invitations`), ['laptop']);
    assert.is(statSync(`${encode.dir}/invitations/laptop`).mode & 0o777, 0o600);
    assert.is(statSync(`${encode.dir}/invitations`).mode & 0o777, 0o700);
    await inviting.says(/^dinvite: good once, until .*; there: djoin \S+\n/);
    // As a person types it.
    const typed = code.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l');
    const joined = await run('djoin', [`127.0.0.1:${port}`, 'studio'], `${typed}\nmore`);
    const [pin, own] = [loadIdentity(encode).pin, loadIdentity(laptop).pin];
    assert.equal([joined.status, joined.stdout.toString(), joined.stderr], [0, `+ studio ${pin}\n`, '']);
    const invited = await inviting.ended;
    assert.is(invited.status, 0);
    assert.is(invited.stdout.toString(), `${code}\n+ laptop ${own}\n`);
    assert.match(invited.stderr, /\ndinvite: it calls itself box\n$/);
    assert.is(read(encode, 'authorized_peers'), `${[own, 'laptop', 'service=audio', 'until=2099-01-31', ...asRoot].join(' ')}\n`);
    assert.is(read(laptop, 'known_peers'), `127.0.0.1:${port} ${pin} studio\n`);
    assert.equal(readdirSync(`${encode.dir}/invitations`), []);
    assert.equal(told, [`+ laptop ${own}`]);
    for (const file of ['encode/authorized_peers', 'config/known_peers']) assert.is(statSync(`${dir}/${file}`).mode & 0o077 & 0o022, 0);
    const shown = await run('dkey', [`seps://127.0.0.1:${port}/`]);
    assert.is(shown.stdout.toString(), `${pin}\n`);
    assert.is((await run('dkey', ['-l', `127.0.0.1:${port}`])).stdout.toString(), `127.0.0.1:${port} ${pin} studio\n`);
  }));

test('a code that is wrong, late, taken back or used is refused; the right one is good after a hundred wrong ones', () =>
  withPair(async ({ encode, laptop, port, read }) => {
    const code = invite(encode, { name: 'laptop', options: [], until: until() });
    for (let round = 0; round < 100; round += 10) {
      const wrong = Array.from({ length: 10 }, () => joinAs(laptop, port, { code: makeCode() }));
      for (const message of await Promise.all(wrong)) assert.is(message, noInvitation);
    }
    assert.is(read(encode, 'authorized_peers'), '');
    assert.is(await joinAs(laptop, port, { code }), loadIdentity(encode).pin);
    assert.is(await joinAs(laptop, port, { code }), noInvitation);
    const late = invite(encode, { name: 'laptop', options: [], until: Date.now() - 1 });
    assert.is(await joinAs(laptop, port, { code: late }), noInvitation);
    assert.equal(
      readdirSync(`${encode.dir}/invitations`).filter((name) => !name.includes('~')),
      [],
    );
    const taken = invite(encode, { name: 'laptop', options: [], until: until() });
    assert.ok(takeBack(encode, 'laptop'));
    assert.not.ok(takeBack(encode, 'laptop'));
    assert.is(await joinAs(laptop, port, { code: taken }), noInvitation);
    assert.is(read(encode, 'authorized_peers'), `${loadIdentity(laptop).pin} laptop\n`);
    assert.is(read(laptop, 'known_peers'), '');
  }));

test('of many who show the right code at once one is let in', () =>
  withPair(async ({ encode, dir, port, read }) => {
    const code = invite(encode, { name: 'laptop', options: [], until: until() });
    const folders = Array.from({ length: 6 }, (_, at) => configFolder({ DIPUS_CONFIG: `${dir}/joiner${at}` }, readTrust({})));
    const got = await Promise.all(folders.map((folder) => joinAs(folder, port, { code })));
    assert.is(got.filter((each) => each === noInvitation).length, 5);
    assert.is(read(encode, 'authorized_peers').trim().split('\n').length, 1);
  }));

test('somebody in between with a key of its own proves nothing to either side, and nothing is written', () =>
  withPair(async ({ encode, laptop, dir, port, read, told, run }) => {
    const middle = loadIdentity(configFolder({ DIPUS_CONFIG: `${dir}/middle` }, readTrust({})));
    const settings = { ...middle, minVersion: 'TLSv1.3', rejectUnauthorized: false, ALPNProtocols: [protocolName.pairing] } as const;
    const code = invite(encode, { name: 'laptop', options: [], until: until() });
    const relays: Record<string, (here: TLSSocket) => void> = {
      // All bytes as they are.
      relay: (here) => {
        const there = connect({ ...settings, port, host: '127.0.0.1' });
        here.pipe(there).on('error', () => {});
        there.pipe(here);
      },
      // A proof from nowhere, and none.
      forge: (here) => void here.resume().end(proofOf('invite', keyOfCode(makeCode()), { ekm: bindingOf(here), name: 'kigbook' })),
      reflect: (here) => void here.pipe(here),
      silent: (here) => void here.resume().end(),
    };
    const expected: Record<string, RegExp> = {
      relay: /^cannot pair with: no such invitation$/,
      forge: /SOMEBODY ELSE ANSWERS$|: /,
      reflect: /SOMEBODY ELSE ANSWERS$|: /,
      silent: /it has closed the connection$/,
    };
    for (const [name, relay] of Object.entries(relays)) {
      const server = createServer({ ...settings, requestCert: true, allowHalfOpen: true }, (here) => relay(here.on('error', () => {})));
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const { port: between } = server.address() as AddressInfo;
      assert.match(await joinAs(laptop, between, { code }), expected[name]!, name);
      if (name !== 'relay') {
        server.close();
        continue;
      }
      const joined = await run('djoin', [`127.0.0.1:${between}`], code);
      assert.equal([joined.status, joined.stdout.toString()], [1, ''], name);
      assert.match(joined.stderr, /^djoin: cannot pair with seps:\/\/127.*\ndjoin: hint: .*\n$/, name);
      server.close();
    }
    assert.is(read(encode, 'authorized_peers'), '');
    assert.is(read(laptop, 'known_peers'), '');
    assert.ok(told.every((line) => line.startsWith('refused to pair with')));
    assert.is(openInvitations(encode).length, 1);
    // It was never used up.
    assert.is(await joinAs(laptop, port, { code }), loadIdentity(encode).pin);
  }));

test('the code is in no argument, no environment, no file and no log', () =>
  withPair(async ({ start, run, encode, encodeEnv, laptop, port, told, dir }) => {
    const inviting = start('dinvite', ['laptop', ...asRoot], { env: encodeEnv });
    const code = await inviting.line();
    await inviting.says(/there: djoin/);
    const joining = start('djoin', [`127.0.0.1:${port}`]);
    const secrets = [code, readCode(code)!];
    for (const { pid } of [inviting, joining]) {
      for (const file of ['cmdline', 'environ']) {
        const text = readFileSync(`/proc/${pid}/${file}`, 'latin1');
        for (const secret of secrets) assert.not.ok(text.includes(secret), `${file} ${pid}`);
      }
    }
    joining.child.stdin!.end(code.toLowerCase());
    assert.is((await joining.ended).status, 0);
    await inviting.ended;
    const found = await run('grep', ['-rliE', secrets.join('|'), encode.dir, laptop.dir, dir]);
    assert.equal([found.status, found.stdout.toString()], [1, '']);
    for (const text of [...told, inviting.stderr, (await joining.ended).stderr])
      for (const secret of secrets) assert.not.match(text, secret);
  }));

test('what checks and what talks may be two processes', () =>
  withPair(
    async ({ encode, laptop, port, read }) => {
      const code = invite(encode, { name: 'laptop', options: ['user=kig'], until: until() });
      assert.is(await joinAs(laptop, port, { code: makeCode() }), noInvitation);
      assert.is(await joinAs(laptop, port, { code }), loadIdentity(encode).pin);
      assert.is(read(encode, 'authorized_peers'), `${loadIdentity(laptop).pin} laptop user=kig\n`);
    },
    (encode) => async (request) => {
      const handed = JSON.parse(JSON.stringify(request)) as JoinRequest;
      await new Promise(setImmediate);
      return JSON.parse(JSON.stringify(takeInvitation(encode, handed))) as JoinAnswer;
    },
  ));

test('where the line cannot be written nobody is let in, and the invitation stays good', () =>
  withPair(async ({ encode, laptop, port, read, told }) => {
    const code = invite(encode, { name: 'laptop', options: [], until: until() });
    writeFileSync(`${encode.dir}/authorized_peers`, '@revoked nonsense\n');
    assert.is(await joinAs(laptop, port, { code }), 'cannot pair with: it cannot be written down here');
    assert.match(told.join('\n'), /@revoked without a pin/);
    writeFileSync(`${encode.dir}/authorized_peers`, `@revoked ${loadIdentity(laptop).pin}\n`);
    assert.is(await joinAs(laptop, port, { code }), 'cannot pair with: this key is revoked here');
    writeFileSync(`${encode.dir}/authorized_peers`, '# mine');
    assert.is(await joinAs(laptop, port, { code }), loadIdentity(encode).pin);
    assert.is(read(encode, 'authorized_peers'), `# mine\n${loadIdentity(laptop).pin} laptop\n`);
  }));

test('what is sent instead of a proof', () =>
  withPair(async ({ encode, laptop, port, read }) => {
    const code = invite(encode, { name: 'laptop', options: [], until: until() });
    const { key, cert } = loadIdentity(laptop);
    const answerTo = async (bytes: (socket: TLSSocket) => Buffer): Promise<string> => {
      const socket = connect({ host: '127.0.0.1', port, key, cert, rejectUnauthorized: false, ALPNProtocols: [protocolName.pairing] });
      const got: Buffer[] = [];
      socket.on('error', () => {}).on('data', (chunk: Buffer) => got.push(chunk));
      await once(socket, 'secureConnect');
      socket.end(bytes(socket));
      await once(socket, 'close');
      return Buffer.concat(got).toString();
    };
    const proof = (socket: TLSSocket, name: string): Buffer =>
      Buffer.concat([proofOf('join', keyOfCode(readCode(code)!), { ekm: bindingOf(socket), name }), Buffer.from(name)]);
    assert.is(await answerTo(() => Buffer.alloc(0)), '\0no such invitation');
    assert.is(await answerTo(() => Buffer.alloc(32)), '\0no such invitation');
    assert.is(await answerTo(() => Buffer.alloc(512, 'x')), '\0no such invitation');
    assert.is(await answerTo(() => Buffer.alloc(513, 'x')), '');
    for (const name of ['', 'a b', '../x', 'a\n', '\u202e', 'n'.repeat(65)])
      assert.is(await answerTo((socket) => proof(socket, name)), '\0no such invitation', name);
    assert.is(read(encode, 'authorized_peers'), '');
    assert.is((await answerTo((socket) => proof(socket, 'kigbook'))).length > 0, true);
    assert.is(read(encode, 'authorized_peers'), `${loadIdentity(laptop).pin} laptop\n`);
  }));

test('dinvite: what it refuses, how it ends, and what it says of other lines', () =>
  withPair(async ({ start, run, encode, laptop, encodeEnv, port, read }) => {
    const fails = async (args: string[], status: number, stderr: RegExp): Promise<void> => {
      const ended = await run('dinvite', args, '', { env: encodeEnv });
      assert.match(ended.stderr, stderr);
      assert.is(ended.status, status);
    };
    await fails(['a/b'], 2, /^dinvite: NAME "a\/b" is not 1 to 64 of/);
    await fails(['laptop', 'usr=kig'], 2, /^dinvite: OPTION: unknown option usr\ndinvite: hint: dipus-keys\(7\)/);
    await fails(['-t', '0', 'laptop'], 2, /no time to join/);
    await fails(['-d', 'laptop'], 1, /^dinvite: cannot take back the invitation of laptop: there is none\n$/);
    await fails(['-t', '0.2', 'laptop', ...asRoot], 1, /dinvite: cannot wait for laptop: nobody has taken the invitation in time\n$/);
    assert.equal(readdirSync(`${encode.dir}/invitations`), []);
    const first = start('dinvite', ['laptop', ...asRoot], { env: encodeEnv });
    await first.line();
    await fails(
      ['laptop', ...asRoot],
      1,
      /cannot invite laptop: it is invited already\ndinvite: hint: dinvite -d laptop takes that back\n$/,
    );
    assert.is((await run('dinvite', ['-d', 'laptop'], '', { env: encodeEnv })).status, 0);
    assert.match((await first.ended).stderr, /cannot wait for laptop: it was taken back\n$/);
    const second = start('dinvite', ['laptop', ...asRoot], { env: encodeEnv });
    await second.line();
    await second.says(/there: djoin/);
    assert.is((await second.stop('SIGINT')).signal, 'SIGINT');
    assert.equal(readdirSync(`${encode.dir}/invitations`), []);
    for (let at = 0; at < 16; at++) invite(encode, { name: `n${at}`, options: [], until: until() });
    await fails(['laptop', ...asRoot], 1, /16 invitations are open already/);
    for (let at = 0; at < 16; at++) takeBack(encode, `n${at}`);
    // Paired again with less: the first line decides, and that is told.
    const own = loadIdentity(laptop).pin;
    writeFileSync(`${encode.dir}/authorized_peers`, `${own} old\n${loadIdentity(encode).pin} laptop\n`);
    const third = start('dinvite', ['laptop', 'service=audio', ...asRoot], { env: encodeEnv });
    await joinAs(laptop, port, { code: await third.line() });
    const { stderr, status } = await third.ended;
    assert.is(status, 0);
    assert.match(stderr, /authorized_peers: line 1 is about the same key and decides: remove it if the new line is to hold\n/);
    assert.match(stderr, /authorized_peers: line 2 is for another key of laptop: remove it if that one is no longer used\n$/);
    assert.match(read(encode, 'authorized_peers'), new RegExp(`\n${own.replace(/[+/]/g, '\\$&')} laptop service=audio`));
  }));

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

test('through the door of an exporter: paired, let in, and broken off when the line goes', () =>
  withSandbox(async ({ dir, run, start, env }) => {
    const [encode, laptop] = ['encode', 'config'].map((name) => configFolder({ DIPUS_CONFIG: `${dir}/${name}` }, readTrust({})));
    const lines: string[] = [];
    const telling = { warn: (line: unknown) => void lines.push(String(line)), explain: (line: string) => void lines.push(line) };
    const pair = servePairing({ take: (request) => takeInvitation(encode!, request), joined: () => {}, ...telling });
    const identity = loadIdentity(encode!);
    let review = (): void => {};
    const watched = watchAuthorizedPeers(encode!, { warn: telling.warn, judgeAgain: () => review() });
    const judge = (pin: Pin, address: string): Grant | Refusal => authorize(watched.peers, { pin, address, now: Date.now() });
    const none = (): void => {};
    const door = new Door<Grant>({ identity, places: 8, judge, pair, channel: none, https: none, ...telling });
    review = () => door.review();
    const server = door.server();
    try {
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const { port } = server.address() as AddressInfo;
      const at = `127.0.0.1:${port}`;
      const dialIt = (): Promise<Channels> => {
        const own = loadIdentity(laptop!);
        const shown = (pin: Pin): Peer => ({ pin, name: 'encode', max: 1 });
        return dial({ host: '127.0.0.1', port, identity: own, judge: shown });
      };
      await dialIt().then(
        () => assert.unreachable('nobody is authorised yet'),
        (error: Failure) => assert.is(error.code, 'EACCES'),
      );
      const inviting = start('dinvite', ['laptop', ...asRoot], { env: { ...env, DIPUS_CONFIG: encode!.dir } });
      assert.is((await run('djoin', [at], await inviting.line())).status, 0);
      await inviting.ended;
      await eventually('the line is read', () => watched.peers.lines.length === 1);
      const channels = await dialIt();
      assert.equal([door.size, channels.peer.pin], [1, identity.pin]);
      writeFileSync(`${encode!.dir}/authorized_peers`, '');
      await channels.ended;
      assert.match(lines.join('\n'), /laptop \(127\.0\.0\.1\): its connection is broken: its key is not in authorized_peers/);
    } finally {
      watched.close();
      door.close('over');
      server.close();
    }
  }));

/** The other side has closed it, in whatever way. */
function closing(socket: TLSSocket): Promise<unknown> {
  return Promise.race([once(socket.resume(), 'end'), once(socket, 'close')]);
}

test('a door takes eight pairings at a time, and each is over in time', () =>
  withDoor(
    async ({ tls }) => {
      const headMs = timing.headMs;
      timing.headMs = 1000;
      try {
        const [first] = await Promise.all(Array.from({ length: 8 }, () => tls({ alpn: [protocolName.pairing] })));
        const ninth = await tls({ alpn: [protocolName.pairing] });
        await closing(ninth);
        assert.not.ok(first!.readableEnded);
        await closing(first!);
      } finally {
        timing.headMs = headMs;
      }
    },
    { pair: (socket) => void socket.on('error', () => {}) },
  ));

if (has('tmux')) {
  test('djoin asks at the terminal', () =>
    withPair(async (pair) => {
      const { encode, port, read, laptop, env } = pair;
      const code = invite(encode, { name: 'laptop', options: [], until: until() });
      await withScreen(pair, env, async (screen) => {
        await screen.type(`djoin 127.0.0.1:${port}`, 'Enter');
        await screen.shows(/Code: $/m);
        await screen.type(code.toLowerCase().replaceAll('-', ' '), 'Enter');
        await screen.shows(/\+ 127\.0\.0\.1 sha256\/\//);
      });
      await eventually('the line', () => read(laptop, 'known_peers') !== '');
    }));
} else test.skip('djoin asks at the terminal', 'there is no tmux');

test.run();
