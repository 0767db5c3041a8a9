// Nodes of pipelines, and what the parts that pipe zeros through them share.
import { cpuSeconds, ownCpuSeconds } from './cpu.mjs';
import { startSshd } from './sshd.mjs';
import { lackOf } from './stage.mjs';

export const bytesOf = (stage) => (stage.quick ? 512 : 2048) * 2 ** 20;

const user = () => (process.getuid() === 0 ? ['--user', 'root'] : []);

/** A tree of its own behind an exporter, where programs may run and the services of `services` are, by their commands. */
export async function startNode(stage, name, services) {
  const root = `${stage.dir}/${name}`;
  const env = { ...stage.env, DIPUS_ROOT: root, DIPUS_HOST: name, DPIPES_CONFIG: '' };
  const apps = ['head', 'cat', 'wc', 'yes', 'true'].flatMap((app) => ['--app', `${app} args=any`]);
  const daemon = await stage.startReady('dpipesd', ['--foreground', ...user(), '-x', '--call', '*', ...apps], { env });
  const started = [];
  for (const [service, command] of Object.entries(services))
    started.push(await stage.startReady('dserve', ['-x', command, service], { env }));
  const exporter = await stage.startReady('dexport', [...user(), '-l', '127.0.0.1:0', '--no-announce'], { env });
  return { root, uri: exporter.line, processes: [daemon, ...started, exporter].map(({ child }) => child) };
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
