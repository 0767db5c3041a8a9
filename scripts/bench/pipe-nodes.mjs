// Nodes of pipelines, and what the parts that pipe zeros through them share.
import { cpuSeconds, ownCpuSeconds } from './cpu.mjs';
import { startSshd } from './sshd.mjs';
import { inSpace, makeSpaces } from './spaces.mjs';
import { lackOf } from './stage.mjs';

export const bytesOf = (stage) => (stage.quick ? 512 : 2048) * 2 ** 20;

// It says what --plain means.
const quietly = { stdio: ['ignore', 'pipe', 'ignore'] };

const user = () => (process.getuid() === 0 ? ['--user', 'root'] : []);

/** Hosts, by their names: each with an exporter, an sshd where there can be one, and the services of its own, by their commands. */
export async function startNodes(stage, wanted) {
  const spaces = makeSpaces(stage, Object.keys(wanted).length);
  const nodes = {};
  for (const [at, [name, services]] of Object.entries(wanted).entries())
    nodes[name] = await startNode(stage, { name, space: spaces[at] }, services);
  return nodes;
}

/** A tree of its own behind an exporter, where programs may run and the services of `services` are. */
async function startNode(stage, { name, space }, services) {
  const root = `${stage.dir}/${name}`;
  const env = { ...stage.env, DIPUS_ROOT: root, DIPUS_HOST: name, DPIPES_CONFIG: '' };
  const apps = ['head', 'cat', 'wc', 'yes', 'true'].flatMap((app) => ['--app', `${app} args=any`]);
  const ready = (command, args, options) => stage.startReady(...inSpace(space, command, args), { env, ...options });
  const daemon = await ready('dpipesd', ['--foreground', ...user(), '-x', '--call', '*', ...apps]);
  const started = [];
  for (const [service, command] of Object.entries(services)) started.push(await ready('dserve', ['-x', command, service]));
  const exporter = await ready('dexport', [...user(), '-l', `${space.address}:0`, '--plain', '--no-announce'], quietly);
  const sshd = lackOf('ssh', 'ssh-keygen') ? undefined : await startSshd(stage, { name, space });
  const processes = [daemon, ...started, exporter].map(({ child }) => child);
  return { uri: exporter.line, ssh: sshd?.command, processes: sshd ? [...processes, sshd.process] : processes };
}

/** One that is reached by ssh alone, and runs anything. */
export async function startPrivateNode(stage, name) {
  const root = `${stage.dir}/${name}`;
  const env = { ...stage.env, DIPUS_ROOT: root, DIPUS_HOST: name, DPIPES_CONFIG: '' };
  const { child } = await stage.startReady('dpipesd', ['--foreground', ...user()], { env });
  return { uri: `'ssh://bench/?root=${root}'`, processes: [child] };
}

/** A private sshd, where there can be one. */
export async function startOwnSshd(stage) {
  return lackOf('ssh', 'ssh-keygen') ? undefined : startSshd(stage);
}

/** Ways of so many bytes, by their names and scripts: how fast each is, and what one CPU second of all that takes part carries. */
export function contendersOf(stage, { bytes, processes, ways }) {
  const costs = new Map();
  const cpu = () => ownCpuSeconds() + cpuSeconds(processes);
  const measure = async ({ name, script }) => {
    const before = cpu();
    const ms = await stage.timeShell(script);
    costs.set(name, cpu() - before);
    return bytes / 1e3 / ms;
  };
  return [
    ...ways.map((way) => ({ ...way, measure: () => measure(way) })),
    ...ways.map(({ name, lacks }) => ({ name: perSecond(name), lacks, measure: async () => bytes / 1e6 / costs.get(name) })),
  ];
}

export const perSecond = (name) => `${name}, per CPU second`;
