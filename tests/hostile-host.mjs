// A host with an SSH server, SFTP and a tree at /t, that misbehaves in one way: node hostile-host.mjs HOST_KEY KIND. Prints its port; ends
// with its stdin. The tree has local/x.box...0, which has no control socket, and local/y.box...0, which has one; both echo.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import SSH2Stream from 'ssh2-streams/lib/ssh.js';
import keyParser from 'ssh2-streams/lib/keyParser.js';

const [keyFile, kind] = process.argv.slice(2);
const key = [keyParser.parseKey(readFileSync(keyFile))].flat()[0];
const { _send: sendPayload } = SSH2Stream;
const windowBytes = 1 << 30;

const u32 = (number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(number);
  return bytes;
};
const string = (text) => Buffer.concat([u32(Buffer.byteLength(text)), Buffer.from(text)]);
const packet = (...parts) => {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : part)));
  return Buffer.concat([u32(body.length), body]);
};
const facts = (mode, uid = 0) => Buffer.concat([u32(14), u32(uid), u32(0), u32(mode), u32(1000), u32(1000)]);
const named = (name, mode) => Buffer.concat([string(name), string(`srwxr-xr-x 1 0 0 0 Nov 21 04:42 ${name}`), facts(mode)]);
const directory = 0o40755;
const socket = 0o140755;
const noSuchFile = 2;

/** What is there: a mode, or the entries of a directory. */
function entriesOf(path) {
  if (kind === 'bomb' && path.startsWith('/t/local'))
    return Array.from({ length: 500 }, (_, at) => [`d${at}${'x'.repeat(200)}`, directory]);
  if (kind === 'deep' && path.startsWith('/t/local')) return [['d'.repeat(200), directory]];
  if (path === '/t') return [['local', directory]];
  if (path !== '/t/local') return undefined;
  return ['x', '.y', 'y'].map((name) => [`${name}.box...0`, socket]);
}

function modeOf(path) {
  if (path.endsWith('.box...0')) return socket;
  return ['.', '/'].includes(path) || entriesOf(path) ? directory : undefined;
}

const names = (id, entries) => packet(104, id, u32(entries.length), ...entries.map(([name, mode]) => named(name, mode)));
const status = (id, number, text = '') => packet(101, id, u32(number), string(text), string(''));

const sftpRequests = {
  // OPEN, CLOSE, READ
  3: (id) => status(id, noSuchFile),
  4: (id) => status(id, 0),
  5: (id) => status(id, 1),
  7: (id, path) => (modeOf(path) === undefined ? status(id, noSuchFile) : packet(105, id, facts(modeOf(path)))),
  11: (id, path) => (entriesOf(path) ? packet(102, id, string(path)) : status(id, noSuchFile)),
  12: (id, path, seen) => {
    if (seen.has(path)) return status(id, 1);
    seen.add(path);
    return names(id, entriesOf(path));
  },
  16: (id, path) => names(id, [[path, directory]]),
  17: (id, path) => packet(105, id, facts(modeOf(path) ?? directory)),
};

const endless = (id) =>
  names(
    id,
    Array.from({ length: 50 }, () => [`${'n'.repeat(1000)}${Math.random()}`, directory]),
  );
/** Instead of an answer, by kind; undefined: as it should be. */
const sftpTwists = {
  'wrong-type': (type, id) => type === 7 && packet(103, id, string('data')),
  'unknown-type': (type, id) => type === 7 && packet(77, id, string('?')),
  'wrong-id': (type) => type === 7 && packet(105, u32(4711), facts(directory)),
  'handle-for-names': (type, id) => type === 12 && packet(102, id, string('h')),
  'short-attributes': (type, id) => type === 17 && packet(105, id, u32(14), u32(0)),
  'no-attributes': (type, id) => type === 17 && packet(105, id, u32(0)),
  'no-owner': (type, id) => type === 7 && packet(105, id, u32(4), u32(directory)),
  'status-without-text': (type, id) => type === 7 && packet(101, id, u32(4)),
  'status-without-number': (type, id) => type === 7 && packet(101, id),
  'status-of-noise': (type, id) => type === 7 && status(id, 4, `no\u001b[2J\n${'x'.repeat(200_000)}`),
  'ok-for-attributes': (type, id) => type === 7 && status(id, 0),
  'end-for-attributes': (type, id) => type === 7 && status(id, 1),
  'end-for-handle': (type, id) => type === 11 && status(id, 1),
  'version-twice': (type, id) => type === 7 && Buffer.concat([packet(2, u32(3)), packet(105, id, facts(directory))]),
  'empty-names': (type, id) => type === 12 && packet(104, id, u32(0)),
  'too-many-names': (type, id) => type === 12 && packet(104, id, u32(0xffff_ffff), named('x.box...0', socket)),
  'endless-names': (type, id) => type === 12 && endless(id),
  'long-realpath': (type, id) => type === 16 && names(id, [['/a'.repeat(60_000), directory]]),
  'no-realpath': (type, id) => type === 16 && packet(104, id, u32(0)),
  'huge-packet': (type) => type === 7 && u32(0xffff_fff0),
  'tiny-packet': (type) => type === 7 && u32(1),
  noise: (type) => type === 7 && Buffer.alloc(60_000, 'noise'),
  'silent-lstat': (type) => type === 7 && Buffer.alloc(0),
  'silent-names': (type) => type === 12 && Buffer.alloc(0),
};

/** Called for each channel that is opened, before it is confirmed. `send` sends a payload as it is. */
const channelTwists = {
  'never-opens': () => true,
  'confirms-twice': ({ confirm }) => [confirm(), confirm()],
  'confirms-and-fails': ({ confirm, fail }) => [confirm(), fail()],
  'fails-twice': ({ fail }) => [fail(), fail()],
  'confirms-another': ({ confirm }) => confirm(4711),
  'closes-twice': ({ confirm, close }) => [confirm(), close(), close()],
  'closes-at-once': ({ confirm, close }) => [confirm(), close()],
  'ends-twice': ({ confirm, end }) => [confirm(), end(), end()],
  'closes-and-talks': ({ confirm, close, data }) => [confirm(), close(), data(Buffer.alloc(20_000))],
  'ends-and-talks': ({ confirm, end, data }) => [confirm(), end(), data(Buffer.alloc(20_000))],
  'over-the-window': ({ confirm, data }) => [confirm(), ...Array.from({ length: 300 }, () => data(Buffer.alloc(30_000)))],
  'no-room': ({ confirm }) => confirm(undefined, 0, 0),
  'widens-for-ever': ({ confirm, widen }) => [confirm(), widen(), widen(), widen()],
};

/** Called as soon as the client is logged in. */
const connectionTwists = {
  'rekeys-for-ever': ({ stream }) => {
    const again = () => {
      try {
        stream.rekey();
      } catch {}
    };
    stream.on('NEWKEYS', again);
    again();
  },
  'kexinit-storm': ({ send }) => {
    for (let count = 0; count < 500; count++) send(Buffer.concat([Buffer.of(20), Buffer.alloc(16 + 45)]));
  },
  'asks-for-ever': ({ send, every }) => every(() => send(Buffer.concat([Buffer.of(80), string('x@y'), Buffer.of(1)]), 200)),
  'opens-for-ever': ({ send, every }) => every((n) => send(Buffer.concat([Buffer.of(90), string('x'), u32(n), u32(1), u32(1)]), 200)),
  'ignores-for-ever': ({ send, every }) => every(() => send(Buffer.concat([Buffer.of(2), string('x'.repeat(1000))]), 20)),
  'debugs-for-ever': ({ send, every }) => every(() => send(Buffer.concat([Buffer.of(4, 1), string('x'.repeat(1000)), string('')]), 20)),
  'says-goodbye': ({ send }) => send(Buffer.concat([Buffer.of(1), u32(11), string('bye\u001b[2J\nbye'), string('')])),
  closes: ({ socket: connection }) => connection.destroy(),
  'succeeds-twice': ({ send }) => [send(Buffer.of(52)), send(Buffer.of(52))],
  'unknown-message': ({ send }) => send(Buffer.from('ff00', 'hex')),
  'data-of-nobody': ({ send }) => send(Buffer.concat([Buffer.of(94), u32(4711), string('x')])),
  'falls-silent': ({ hush }) => hush(),
};

const sockets = new Set();
const server = createServer((connection) => {
  sockets.add(connection);
  let isSilent = false;
  const algorithms = { serverHostKey: [key.type] };
  const stream = new SSH2Stream({ server: true, hostKeys: { [key.type]: { publicKey: key, privateKey: key, ...keyOf() } }, algorithms });
  const send = (payload) => connection.destroyed || isSilent || sendPayload(stream, payload);
  let isIn = false;
  const timers = [];
  const every = (tick) => {
    let count = 0;
    timers.push(
      setInterval(() => {
        for (let at = 0; at < 200; at++) tick(count++);
      }, 1),
    );
  };
  stream.on('SERVICE_REQUEST', (name) => stream.serviceAccept(name));
  stream.on('USERAUTH_REQUEST', () => {
    stream.authSuccess();
    if (isIn) return;
    isIn = true;
    connectionTwists[kind]?.({ stream, send, every, socket: connection, hush: () => (isSilent = true) });
  });
  stream.on('GLOBAL_REQUEST', () => isSilent || stream.requestFailure());
  let next = 100;
  stream.on('CHANNEL_OPEN', ({ type, sender }) => {
    if (isSilent) return;
    const own = next++;
    const channel = {
      hangUp: () => connection.destroy(),
      confirm: (recipient = sender, window = windowBytes, bytes = 32_768) =>
        send(Buffer.concat([Buffer.of(91), u32(recipient), u32(own), u32(window), u32(bytes)])),
      fail: () => send(Buffer.concat([Buffer.of(92), u32(sender), u32(2), string('open failed'), string('')])),
      close: () => send(Buffer.concat([Buffer.of(97), u32(sender)])),
      end: () => send(Buffer.concat([Buffer.of(96), u32(sender)])),
      data: (bytes) => send(Buffer.concat([Buffer.of(94), u32(sender), string(bytes)])),
      widen: () => send(Buffer.concat([Buffer.of(93), u32(sender), u32(0xffff_ffff)])),
    };
    if (type === 'session') serveSession(stream, own, channel);
    else if (channelTwists[kind]) channelTwists[kind](channel);
    else serveEcho(stream, own, channel);
  });
  const over = () => timers.forEach(clearInterval);
  for (const each of [connection, stream]) each.on('error', over).on('close', over);
  connection.pipe(stream).pipe(connection);
}).listen(0, '127.0.0.1', () => console.log(server.address().port));

function keyOf() {
  return { type: key.type, getPublicSSH: () => key.getPublicSSH(), sign: (bytes) => key.sign(bytes) };
}

function serveEcho(stream, own, { confirm, data, close, end }) {
  confirm();
  stream.on(`CHANNEL_DATA:${own}`, (bytes) => data(bytes));
  stream.on(`CHANNEL_EOF:${own}`, () => [end(), close()]);
}

function serveSession(stream, own, { confirm, data, close, end, hangUp }) {
  if (kind === 'sftp-confirmed-twice') confirm();
  confirm();
  if (kind === 'sftp-closes-before-its-answer') {
    close();
    close();
    return;
  }
  let rest = Buffer.alloc(0);
  const seen = new Set();
  stream.on(`CHANNEL_REQUEST:${own}`, (request) => {
    if (request.request === 'subsystem') stream.channelSuccess(own - 100);
    else stream.channelFailure(own - 100);
    if (kind === 'sftp-closes') close();
    if (kind === 'sftp-ends') end();
    if (kind === 'sftp-over-the-window') for (let count = 0; count < 300; count++) data(Buffer.alloc(30_000));
  });
  stream.on(`CHANNEL_DATA:${own}`, (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
      const body = rest.subarray(4, 4 + rest.readUInt32BE(0));
      rest = rest.subarray(4 + body.length);
      const reply = answer(body, seen);
      for (let at = 0; at < reply.length; at += 30_000) data(reply.subarray(at, at + 30_000));
      if (kind === 'sftp-dies' && body[0] === 12) close();
      // The tree has been read once.
      if (kind === 'closes-late' && body[0] === 12) setTimeout(() => hangUp(), 50);
    }
  });
}

function answer(body, seen) {
  const type = body[0];
  if (type === 1) return kind === 'silent-sftp' ? Buffer.alloc(0) : packet(2, u32(3));
  const id = body.subarray(1, 5);
  const path = body.length > 9 ? body.subarray(9, 9 + body.readUInt32BE(5)).toString() : '';
  const twisted = sftpTwists[kind]?.(type, id);
  if (Buffer.isBuffer(twisted)) return twisted;
  return sftpRequests[type]?.(id, path, seen) ?? status(id, 8, 'not here');
}

process.stdin.resume().on('end', () => {
  server.close();
  for (const each of sockets) each.destroy();
});
