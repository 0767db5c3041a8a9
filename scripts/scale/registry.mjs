// Many hosts in a registry: node scripts/scale/registry.mjs [HOSTS [DYING]]. etcd and the commands are real; hosts are two processes that
// stand for them (hosts.mjs), and all of them are one dpipesd, by as many addresses.
import { resolve } from 'node:path';
import { cpuSeconds } from '../bench/cpu.mjs';
import { startEtcd } from '../bench/etcd.mjs';
import { memoryOf, openStage } from '../bench/stage.mjs';
import { countLines, idleCpu, lines, print, seconds, timed } from './measuring.mjs';

const [hosts = 1000, dying = Math.floor(hosts * 0.3)] = process.argv.slice(2).map(Number);
const leaseSeconds = 10;
const asRoot = process.getuid() === 0 ? ['--user', 'root'] : [];
const stage = openStage({ quick: false });
try {
  const etcd = await startEtcd(stage);
  print(`${hosts} hosts, each an exporter with a dpipesd and 10 programs: ${12 * hosts} entries`);
  const node = ['--plain', '--foreground', ...asRoot, '-l', '0.0.0.0:0', '--app', 'sort args=any', '-n', '1000'];
  const dpipesd = stage.start('dpipesd', node);
  const port = Number((await lines(dpipesd, 3)).at(-1).split(':').at(-1));
  const began = performance.now();
  const at = { url: etcd.url, port };
  const [lasting, short] = await Promise.all([startHosts(0, hosts - dying, at), startHosts(hosts - dying, dying, at)]);
  print('all have registered', seconds(began), `s (${cpuSeconds([etcd.child]).toFixed(1)} s CPU of etcd)`);
  print('resident memory of etcd', memoryOf(etcd.child.pid).nowBytes / 1e6, 'MB');
  print('CPU of etcd while all renew their leases', await idleCpu([etcd.child], 10), '%');
  print('CPU of all hosts meanwhile', await idleCpu([lasting, short], 10), '%');

  const find = (...args) => stage.time('ddiscover', ['-a', '-r', etcd.url, ...args]);
  print('ddiscover --version', (await timed(5, () => stage.time('ddiscover', ['--version'])))[0], 'ms');
  print(`ddiscover -r, ${hosts} nodes of one program`, (await timed(5, () => find('dp.sort')))[0], 'ms');
  const watching = stage.start('ddiscover', ['-a', '-w', '-r', etcd.url, 'dp.sort']);
  const watchBegan = performance.now();
  const watched = countLines(watching);
  await watched.until('+', hosts);
  print('ddiscover -w, until all are told of', 1000 * seconds(watchBegan), 'ms');
  print('its resident memory', memoryOf(watching.pid).nowBytes / 1e6, 'MB');
  const [put] = await timed(20, async (round) => {
    const next = watched.next('+');
    await etcd.put(`/dipus/v1/dp.sort/x/${round}`, `sep://x${round}:1`);
    await next;
  });
  print('one change, until it is told of', put, 'ms');
  for (let round = 0; round < 20; round++) await etcd.remove(`/dipus/v1/dp.sort/x/${round}`);

  const only = `sep://127.1.0.1:${port}`;
  const [named] = await timed(5, () => stage.time('dpipes', ['-N', only, 'sort']));
  print('dpipes on a node that is named', named, 'ms');
  const placing = stage.start('dpipes', ['-r', etcd.url, '--plan', 'sort']);
  await lines(placing, 1);
  const [placed] = await timed(5, () => stage.time('dpipes', ['-r', etcd.url, 'sort']));
  print(`dpipes on one of ${hosts}`, placed, 'ms');

  const before = watched.count('-');
  const died = performance.now();
  await stage.stop(short, 'SIGKILL');
  await watched.until('-', before + 1);
  print(`${dying} hosts die: the first has gone`, seconds(died), 's');
  await watched.until('-', before + dying);
  const all = seconds(died);
  print('the last has gone', all, `s (a lease is ${leaseSeconds} s)`);
  if (all > leaseSeconds + 2) process.exitCode = 1;
} finally {
  await stage.close();
}

async function startHosts(first, count, { url, port }) {
  const words = [resolve('scripts/scale/hosts.mjs'), url, first, count, port].map(String);
  return (await stage.startReady(process.execPath, words)).child;
}
