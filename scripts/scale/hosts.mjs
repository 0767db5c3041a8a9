// Stands for many hosts: node hosts.mjs REGISTRY FIRST COUNT PORT. Each registers as dexport does, with its own lease and connection:
// itself, a dpipesd and ten programs, at a loopback address of its own. Prints a line when all are registered; whoever kills it kills all.
import { parseRegistry } from '@dipus/proto/registry-url';
import { scaleTiming } from '@dipus/proto/timing';
import { openRegistry } from '@dipus/registry/open';

const [registry, ...numbers] = process.argv.slice(2);
const [first, count, port] = numbers.map(Number);
const node = process.env.DIPUS_HOST;
const programs = ['sort', ...Array.from({ length: 9 }, (_, at) => `p${at}`)];
scaleTiming(Number(process.env.DIPUS_TIME_SCALE || 1));

let registered = 0;
let troubles = 0;
for (let at = first; at < first + count; at++) void register(at);

async function register(at) {
  const opened = await openRegistry(parseRegistry(registry), () => undefined);
  const uri = `sep://127.${1 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}:${port}`;
  const shared = { host: `h${at}`, since: Date.now() };
  const stages = programs.map((name) => ({ ...shared, name: `dp.${name}`, uri: `${uri}/dp/${name}.${node}...0` }));
  const entries = [{ ...shared, name: 'dipus', uri }, { ...shared, name: 'dpipesd', uri: `${uri}/dpipesd.${node}...0` }, ...stages];
  let isCounted = false;
  opened.register({
    entries: () => entries,
    warn: () => troubles++,
    explain: (line) => {
      if (isCounted || !/ has \d+ entries/.test(line)) return;
      isCounted = true;
      if (++registered === count) console.log(`${count} hosts, ${troubles} tries that were in vain`);
    },
  });
}
