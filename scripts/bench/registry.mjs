// Listing what a registry has: ten programs of many hosts in an etcd, one of them, and as many entries of one name.
import { startEtcd } from './etcd.mjs';
import { lackOf } from './stage.mjs';
import { atMost } from './targets.mjs';

const programs = 10;
const atATime = 100;

export async function prepare(stage) {
  const hosts = stage.quick ? 200 : 1000;
  const lacks = lackOf('etcd');
  const etcd = lacks === undefined ? await startEtcd(stage) : undefined;
  if (etcd) {
    for (let program = 0; program < programs; program++) await fill(etcd, `dp.p${program}`, hosts);
    await fill(etcd, 'dipus', hosts * programs);
  }
  const own = { ...(lacks && { lacks }) };
  const list = (name) => () => stage.time('ddiscover', ['-a', '-r', etcd.url, name]);
  const [some, all] = [`ddiscover -r, ${hosts} of ${hosts * programs}`, `ddiscover -r, ${hosts * programs}`];
  return {
    title: `listing what a registry has, ${2 * hosts * programs} entries`,
    unit: 'ms',
    contenders: [
      { name: 'ddiscover --version', measure: () => stage.time('ddiscover', ['--version']) },
      { name: some, measure: list('dp.p3'), ...own },
      { name: all, measure: list('dipus'), ...own },
    ],
    targets: [atMost(some, 2.5, 'ddiscover --version'), atMost(all, 5, 'ddiscover --version')],
  };
}

async function fill(etcd, name, count) {
  for (let from = 0; from < count; from += atATime) {
    const pairs = Array.from({ length: atATime }, (_, at) => pairOf(name, from + at));
    await etcd.putAll(pairs);
  }
}

function pairOf(name, at) {
  const uri = `sep://10.0.${at >> 8}.${at & 255}:7370`;
  return [`/dipus/v1/${name}/h${at}/0123456789abcdef-0`, JSON.stringify({ uri, host: `h${at}`, since: 1_790_000_000_000 })];
}
