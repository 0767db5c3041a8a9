// 1 GB to a reader that stops: nothing on the way may collect it.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf, processTree } from './stage.mjs';
import { below } from './targets.mjs';

const offeredBytes = 1e9;
const chunk = Buffer.alloc(1_000_000);

export async function prepare(stage) {
  const { child: server } = await stage.startReady('dserve', ['cat', 'echo']);
  return {
    title: '1 GB offered to a reader that stops: growth of the process that grows most',
    unit: 'MB',
    contenders: [{ name: 'growth', measure: () => growth(stage, server) }],
    targets: [below('growth', 20, 'MB')],
  };
}

/** The growth in MB from the first byte echoed to the stand-still; over dcat, dserve and all that they have started. */
async function growth(stage, server) {
  const client = stage.start('dcat', ['echo'], { stdio: ['pipe', 'pipe', 'inherit'] });
  client.stdin.on('error', () => {});
  client.stdin.write('x');
  await once(client.stdout, 'data');
  client.stdout.pause();
  const processes = [...processTree(client.pid), ...processTree(server.pid)];
  const before = new Map(processes.map((pid) => [pid, memoryOf(pid).nowBytes]));
  await offer(client.stdin);
  const growths = processes.map((pid) => memoryOf(pid).nowBytes - before.get(pid));
  await stage.stop(client, 'SIGKILL');
  return Math.max(...growths) / 1e6;
}

/** Writes until nothing has been taken for a second. */
async function offer(stream) {
  for (let sent = 0; sent < offeredBytes; sent += chunk.length) {
    if (stream.write(chunk)) continue;
    const isStuck = await Promise.race([once(stream, 'drain').then(() => false), sleep(1000, true)]);
    if (isStuck) return;
  }
  throw new Error('all of it was taken, although nobody reads');
}
