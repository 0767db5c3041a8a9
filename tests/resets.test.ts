// A connection that is broken off must not look as if it had ended, also where the reset comes in one with the last bytes.
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import * as assert from 'uvu/assert';
import { wasTcpReset } from '@dipus/relay/reset';
import { eventually, rounds, sleep, suite, within, withSandbox, type Program, type Sandbox } from './harness.ts';
import { childrenOf } from './processes.ts';

const test = suite('resets');

async function listening(serve: (connection: Socket) => void): Promise<{ readonly port: number; close(): void }> {
  const server = createServer({ allowHalfOpen: true }, (connection) => serve(connection.on('error', () => {})))
    .listen(0, '127.0.0.1')
    .unref();
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => void server.close() };
}

function breaking(connection: Socket): void {
  connection.write('x'.repeat(100));
  connection.resetAndDestroy();
}

/** How a connection ends for one who reads it in the same process, which may be busy when the bytes come. */
async function endOf(port: number, isBusy: boolean): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  socket.on('error', () => {});
  // What had not been read yet may be lost with the connection.
  socket.on('data', () => {});
  await Promise.race([once(socket, 'connect'), once(socket, 'close')]).catch(() => {});
  if (socket.closed) return 'reset';
  if (isBusy) for (const until = Date.now() + 2; Date.now() < until;);
  return new Promise((resolve) => {
    socket.once('end', () => {
      resolve(wasTcpReset(socket) ? 'reset' : 'end');
      socket.destroy();
    });
    socket.once('close', () => resolve('reset'));
  });
}

test('what was read as an end is known to have been one, or a reset', async () => {
  const broken = await listening(breaking);
  const whole = await listening((connection) => void connection.end('x'.repeat(100)));
  for (let round = 0; round < rounds(200, 2000); round++) {
    assert.is(await endOf(broken.port, round % 2 === 0), 'reset');
    assert.is(await endOf(whole.port, round % 2 === 0), 'end');
  }
  broken.close();
  whole.close();
});

/** Lets the reset come while nobody looks, so that it is found together with what came before it. */
async function breakUnseen(connection: Socket, reader: Program): Promise<void> {
  reader.signal('SIGSTOP');
  breaking(connection);
  await sleep(20);
  reader.signal('SIGCONT');
}

test('dcat tells it, with and without a link between, while it sends and when it has ended', () =>
  withSandbox(async (sandbox) => {
    const connections: Socket[] = [];
    const { port, close } = await listening((connection) => void connections.push(connection.resume()));
    const uri = `tcp://127.0.0.1:${port}`;
    const link = sandbox.start('dlink', [uri, 'linked']);
    await link.line();
    for (let round = 0; round < rounds(6, 100); round++)
      for (const isLinked of [false, true])
        for (const isEnded of [false, true]) {
          const dcat = sandbox.start('dcat', [isLinked ? 'linked' : uri]);
          dcat.child.stdin!.write('x');
          await eventually('a connection', () => connections.length > 0);
          const connection = connections.shift()!;
          if (isEnded) dcat.child.stdin!.end();
          if (isEnded) await once(connection, 'end');
          await breakUnseen(connection, isLinked ? link : dcat);
          assert.is(
            (await within(10_000, 'the end', dcat.ended)).status,
            125,
            `${isLinked ? 'linked' : 'by itself'}, ${isEnded ? 'ended' : 'sending'}`,
          );
        }
    close();
  }));

/** A cat that begins to read late from a TCP connection, and ends late where it has written to one. */
function slowCat(sandbox: Sandbox): Record<string, string | undefined> {
  const folder = `${sandbox.dir}/slow`;
  mkdirSync(folder);
  const script = `#!/bin/sh
isTcp() { test -S "/proc/$$/fd/$1" && ! grep -qw "$(stat -L -c %i "/proc/$$/fd/$1")" /proc/net/unix; }
isTcp 0 && sleep 0.5
isTcp 1 || exec /bin/cat
/bin/cat
status=$?
[ -z "$LATE" ] || sleep 1
exit $status
`;
  writeFileSync(`${folder}/cat`, script, { mode: 0o755 });
  return { ...sandbox.env, PATH: `${folder}:${process.env['PATH']}` };
}

test('a reset that a write meets first is none that reading would tell of', () =>
  withSandbox(async (sandbox) => {
    const connections: Socket[] = [];
    const { port, close } = await listening((connection) => void connections.push(connection.resume()));
    const uri = `tcp://127.0.0.1:${port}`;
    const env = slowCat(sandbox);
    const link = sandbox.start('dlink', [uri, 'linked'], { env: { ...env, LATE: '1' } });
    await link.line();
    for (const isLinked of [false, true]) {
      const dcat = sandbox.start('dcat', [isLinked ? 'linked' : uri], { env: isLinked ? sandbox.env : env });
      // A link leaves what is long to other processes.
      const bytes = isLinked ? 5 << 20 : 0;
      if (bytes > 0) dcat.child.stdin!.write(Buffer.alloc(bytes));
      await eventually('a connection', () => connections.length > 0);
      const connection = connections.shift()!;
      await eventually('all of it', () => connection.bytesRead === bytes);
      if (isLinked) await eventually('what copies', () => childrenOf(link.pid).length >= 2);
      breaking(connection);
      await once(connection, 'close');
      dcat.child.stdin!.write('x');
      assert.is((await within(10_000, 'the end', dcat.ended)).status, 125, isLinked ? 'linked' : 'by itself');
    }
    close();
  }));

test.run();
