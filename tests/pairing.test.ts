// Pairing: the exporter's side, the joiner's, and somebody in between.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import * as assert from 'uvu/assert';
import type { Pin } from '@dipus/proto/pin';
import type { Channels } from '@dipus/seps/channels';
import type { ProvenPeer } from '@dipus/seps/proven-peer';
import type { Failure } from '@dipus/proto/failure';
import { authorize, type Grant, type Refusal } from '@dipus/proto/grant';
import { timing } from '@dipus/proto/timing';
import { watchAuthorizedPeers } from '@dipus/seps/authorized-peers';
import { dial } from '@dipus/seps/dial';
import { Door } from '@dipus/seps/door';
import { configFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { invite, openInvitations, takeBack } from '@dipus/seps/invitations';
import { bindingOf, keyOfCode, makeCode, proofOf, readCode } from '@dipus/seps/pair-proof';
import { protocolName } from '@dipus/seps/secured';
import { servePairing, takeInvitation, type JoinAnswer, type JoinRequest } from '@dipus/seps/pairing';
import { readTrust } from '@dipus/tree/trust';
import { eventually, has, suite, withSandbox } from './harness.ts';
import { withDoor } from './seps-door.ts';
import { withScreen } from './tmux.ts';
import { asRoot, withPair, until, joinAs } from './pairing-pair.ts';

const test = suite('pairing');
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
    await inviting.says(/^dinvite: good once, until .*; on the remote host: djoin \S+, or as this host is called there\n/);
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
    await inviting.says(/on the remote host: djoin/);
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
    assert.is(await joinAs(laptop, port, { code }), 'cannot pair with: it has revoked this key');
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
    const door = new Door<Grant>({ identity, maxConnections: 8, judge, pair, channel: none, https: none, ...telling });
    review = () => door.review();
    const server = door.server();
    try {
      await once(server.listen(0, '127.0.0.1'), 'listening');
      const { port } = server.address() as AddressInfo;
      const at = `127.0.0.1:${port}`;
      const dialIt = (): Promise<Channels> => {
        const own = loadIdentity(laptop!);
        const shown = (pin: Pin): ProvenPeer => ({ pin, name: 'encode', max: 1 });
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

test('a door takes eight pairings at a time, and each is over in time', () => {
  let pairing = 0;
  const pair = (socket: TLSSocket): void => {
    pairing++;
    socket.on('error', () => {});
  };
  return withDoor(
    async ({ tls }) => {
      const { headMs } = timing;
      const begin = (): Promise<TLSSocket> => tls({ alpn: [protocolName.pairing] });
      const open = await Promise.all(Array.from({ length: 7 }, begin));
      // A handshake is over for the client before it is for the door.
      await eventually('seven pairings', () => pairing === 7);
      timing.headMs = 500;
      try {
        await closing(await begin());
      } finally {
        timing.headMs = headMs;
      }
      open.push(await begin());
      await eventually('eight at a time', () => pairing === 9);
      await closing(await begin());
      assert.is(pairing, 9);
      assert.not.ok(open.some((socket) => socket.readableEnded));
    },
    { pair },
  );
});

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
