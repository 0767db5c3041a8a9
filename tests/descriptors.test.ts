// Descriptors over UNIX sockets, who is at their other end, and locks; all of one process.
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import * as assert from 'uvu/assert';
import { hasLibc } from '@dipus/descriptors/libc';
import { tryLock } from '@dipus/descriptors/lock';
import { deadDescriptor, openDescriptor, receiveDescriptors, sendDescriptor, setBlocking } from '@dipus/descriptors/passing';
import { knownPeer, peerCredentials } from '@dipus/descriptors/peer-credentials';
import { codeOf } from '@dipus/proto/failure';
import { suite, withSandbox } from './harness.ts';

const test = suite('descriptors');

/** Two ends of a connection that nobody reads. */
async function withPair(body: (a: Socket, b: Socket, dir: string) => void): Promise<void> {
  await withSandbox(async ({ dir }) => {
    const server = createServer({ pauseOnConnect: true }).listen(`${dir}/s`);
    await once(server, 'listening');
    const a = connect(`${dir}/s`).pause();
    const [b] = (await once(server, 'connection')) as [Socket];
    try {
      body(a, b, dir);
    } finally {
      a.destroy();
      b.destroy();
      server.close();
    }
  });
}

const openFiles = (): number => readdirSync('/proc/self/fd').length;

test('a descriptor is passed with its bytes, and is a copy', () =>
  withPair((a, b, dir) => {
    writeFileSync(`${dir}/file`, 'text');
    assert.is(receiveDescriptors(b, 10), undefined);
    const file = openSync(`${dir}/file`, 'r');
    sendDescriptor(a, Buffer.from('ok'), file);
    closeSync(file);
    const { bytes, descriptors } = receiveDescriptors(b, 10)!;
    assert.equal([bytes.toString(), descriptors.length], ['ok', 1]);
    const text = Buffer.alloc(10);
    assert.is(text.toString('utf8', 0, readSync(descriptors[0]!, text)), 'text');
    closeSync(descriptors[0]!);
  }));

test('messages are not joined over a descriptor, and the end has neither', () =>
  withPair((a, b) => {
    const before = openFiles();
    for (let count = 0; count < 3; count++) sendDescriptor(a, Buffer.from([count]), 0);
    a.destroy();
    for (let count = 0; count < 3; count++) {
      const { bytes, descriptors } = receiveDescriptors(b, 100)!;
      assert.equal([[...bytes], descriptors.length], [[count], 1]);
      closeSync(descriptors[0]!);
    }
    assert.ok(openFiles() <= before);
  }));

test('a queue that is full, a peer that has gone, a connection that is closed', () =>
  withPair((a, b) => {
    const codeOfSending = (): string | undefined => {
      try {
        for (let count = 0; count < 10_000; count++) sendDescriptor(a, Buffer.alloc(1000), 0);
        return undefined;
      } catch (error) {
        return codeOf(error);
      }
    };
    // How many may be on their way is limited as well.
    assert.ok(['EAGAIN', 'ETOOMANYREFS'].includes(codeOfSending()!));
    a.destroy();
    assert.throws(() => openDescriptor(a), /is closed/);
    assert.is(knownPeer(a), undefined);
    b.destroy();
  }));

test('a dead descriptor has ended', () => {
  const descriptor = deadDescriptor();
  assert.ok(fstatSync(descriptor).isSocket());
  assert.is(readSync(descriptor, Buffer.alloc(1)), 0);
  closeSync(descriptor);
});

test('one that waits does so for everybody who has it', () =>
  withPair((a) => {
    const fd = openDescriptor(a);
    const flags = (): number => Number.parseInt(/flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))![1]!, 8);
    assert.ok(flags() & 0o4000);
    setBlocking(fd);
    assert.not.ok(flags() & 0o4000);
  }));

test('who is at the other end', () =>
  withPair((a, b) => {
    for (const socket of [a, b]) {
      const { pid, uid, gid, groups } = peerCredentials(socket);
      assert.equal([pid, uid, gid], [process.pid, process.geteuid!(), process.getegid!()]);
      for (const group of process.getgroups!()) assert.ok(groups.includes(group));
    }
  }));

test('a lock is held by one, until its file is closed', () =>
  withSandbox(async ({ dir }) => {
    writeFileSync(`${dir}/lock`, '');
    const [first, second] = [openSync(`${dir}/lock`, 'r'), openSync(`${dir}/lock`, 'r')];
    assert.ok(hasLibc());
    assert.equal([tryLock(first), tryLock(second)], [true, false]);
    closeSync(first);
    assert.ok(tryLock(second));
    closeSync(second);
  }));

test.run();
