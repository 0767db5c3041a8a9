// SFTP in bytes, by table and by property; and when a directory there must be read again.
import { randomBytes } from 'node:crypto';
import * as assert from 'uvu/assert';
import { readContents, ReadState, type RemoteDirectory } from '@dipus/ssh/tree/remote-directory';
import { isDirectory, isSocket, remoteTrust } from '@dipus/ssh/tree/remote-trust';
import { whyNotAsRoot } from '@dipus/proto/trust';
import { encodePacket, maxPacketBytes, modeOnly, PacketReader, Payload, request, SftpFormatError } from '@dipus/ssh/tree/sftp-packet';
import { rounds, suite } from './harness.ts';

const test = suite('sftp');

test('requests are as the draft draws them', () => {
  const cases: [Buffer, string][] = [
    [encodePacket(request.init, 0, [3]), '00000005 01 00000003'],
    [encodePacket(request.lstat, 7, ['/a']), '0000000b 07 00000007 00000002 2f61'],
    [encodePacket(request.mkdir, 1, ['/', ...modeOnly(0o700)]), '00000012 0e 00000001 00000001 2f 00000004 000001c0'],
  ];
  for (const [bytes, hex] of cases) assert.is(bytes.toString('hex'), hex.replaceAll(' ', ''));
});

test('packets are the same wherever the stream is cut', () => {
  const packets = ['', 'a', 'x'.repeat(300)].map((text, at) => encodePacket(request.lstat, at, [text]));
  const stream = Buffer.concat(packets);
  for (let cut = 0; cut <= stream.length; cut++) {
    const reader = new PacketReader();
    const seen = [...reader.push(stream.subarray(0, cut)), ...reader.push(stream.subarray(cut))];
    assert.equal(
      seen.map(String),
      packets.map((packet) => packet.subarray(4).toString()),
    );
  }
});

test('what is no packet is refused, and never more than that', () => {
  for (const bytes of [0, 4, maxPacketBytes + 1, 0xffff_ffff]) {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(bytes);
    assert.throws(
      () => new PacketReader().push(head),
      (error: unknown) => error instanceof SftpFormatError,
    );
  }
  for (let round = 0; round < rounds(2000, 200_000); round++) {
    const payload = new Payload(randomBytes(round % 80));
    try {
      while (!payload.isAtEnd) {
        payload.text();
        payload.attributes();
      }
    } catch (error) {
      assert.instance(error, SftpFormatError);
    }
  }
});

test('a directory is read until its time tells of every change', () => {
  // What is seen at which moment, and whether that asks for a look.
  const moments: [atMs: number, mtimeSeconds: number, mustRead: boolean][] = [
    [0, 1000, true],
    [500, 1000, true],
    [1999, 1000, true],
    [2000, 1000, true],
    [2500, 1000, false],
    [9000, 1000, false],
    [9500, 1009, true],
    [9600, 1009, true],
    // The clock of the remote host was set back.
    [12_000, 17, true],
    [14_000, 17, true],
    [16_000, 17, false],
  ];
  const state = new ReadState();
  for (const [atMs, mtimeSeconds, mustRead] of moments) {
    assert.is(state.mustRead({ mode: 0o40755, uid: 0, gid: 0, mtimeSeconds }, atMs), mustRead, `${atMs} ms`);
    if (mustRead) state.wasRead(atMs);
  }
});

test('names in a directory are services, directories, or nothing', () => {
  const directory: RemoteDirectory = { path: '/r/local/a', area: 'local', protocol: 'a', inherited: undefined };
  const socket = (name: string, uid = 5): Parameters<typeof readContents>[1][number] => ({
    name,
    longName: `srwxr-xr-x    1 u g 0 Nov 21 04:42 ${name}`,
    file: { mode: 0o140755, uid, gid: 0, mtimeSeconds: 1 },
  });
  const subdirectory = (name: string): ReturnType<typeof socket> => ({
    ...socket(name),
    file: { mode: 0o40755, uid: 5, gid: 0, mtimeSeconds: 1 },
  });
  const names = ['x.h...0', '.x.h...0', 'y.h...1', 'evil\n.h...0', '../z.h...0', 'no', '.hidden.h...0'].map((name) => socket(name));
  const { services, directories } = readContents(
    directory,
    [
      ...names,
      socket('root.h...0', 0),
      socket('other.h...0', 6),
      socket('foreign.h...0'),
      socket('.foreign.h...0', 6),
      subdirectory('b'),
      subdirectory('.c'),
      subdirectory('d.h...0'),
      subdirectory('e/f'),
    ],
    { untrusted: undefined, trust: remoteTrust(5) },
  );
  assert.equal(
    [...services.values()].map(({ file, hasControl, untrusted }) => [file, hasControl, untrusted]),
    [
      ['/r/local/a/x.h...0', true, undefined],
      ['/r/local/a/y.h...1', false, undefined],
      ['/r/local/a/root.h...0', false, undefined],
      ['/r/local/a/other.h...0', false, 'belongs to uid 6'],
      // Somebody else's socket is not its control socket.
      ['/r/local/a/foreign.h...0', false, undefined],
    ],
  );
  assert.equal([...directories], ['b']);
});

test('roots that may not be relied on', () => {
  const file = (mode: number, uid: number): Parameters<typeof isSocket>[0] => ({ mode, uid, gid: 0, mtimeSeconds: 0 });
  const cases: [mode: number, uid: number, why: string | undefined][] = [
    [0o40755, 0, undefined],
    [0o40700, 5, undefined],
    [0o41777, 0, undefined],
    [0o40755, 6, 'owned by uid 6, not by you or root'],
    [0o40777, 0, 'writable by others and not sticky'],
    [0o40775, 5, 'writable by others and not sticky'],
    [0o120777, 5, 'is a symbolic link'],
    [0o100644, 5, 'is not a directory'],
  ];
  for (const [mode, uid, why] of cases) assert.is(whyNotAsRoot(file(mode, uid), remoteTrust(5)), why, mode.toString(8));
  assert.ok(isSocket(file(0o140600, 0)) && !isSocket(file(0o40755, 0)) && isDirectory(file(0o40755, 0)));
});

test.run();
