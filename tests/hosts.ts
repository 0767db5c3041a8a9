// Hosts for tests: each a network namespace and a mount namespace, joined by a bridge that stands in a namespace of its own. Nothing
// of it is seen outside, and all of it goes with the test's process, also when that is killed: a namespace lives as long as the `cat`
// that holds it, and that reads from the test.
import { execFileSync, spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { bundle, has, Program, withSandbox, type Sandbox, type Suite } from './harness.ts';

/**
 * One host: a sandbox with a root and keys of its own, whose programs run on it. Its name is DIPUS_HOST, and all hosts of a test know it by
 * /etc/hosts.
 */
export interface Host extends Sandbox {
  readonly name: string;
  /** On its first network; `eth0` has it. */
  readonly address: string;
  readonly address6: string;
  /** The same on each of its networks, by their names. */
  readonly networks: Readonly<Record<string, { address: string; address6: string; device: string }>>;
  /** Everything sent to the host or by it is lost from now on, silently: it keeps its devices and addresses. */
  cut(network?: string): void;
  /** Pulls the plug: the host sees that its device is down. */
  unplug(network?: string): void;
  /** Undoes cut and unplug. */
  restore(network?: string): void;
  /** Starts a TCP relay on this host that can be slow, or stop. */
  relay(to: { host: string; port: number }, delayMs?: number): Promise<SlowRelay>;
}

export interface SlowRelay {
  readonly port: number;
  /** From now on what comes in goes out so much later. */
  delay(ms: number): void;
  /** Passes nothing on, and accepts connections without doing anything with them. */
  hold(): void;
  /** Goes on where hold() stopped. */
  go(): void;
  /** Ends every connection by a reset. */
  reset(): void;
}

/** The names of the hosts, all on one network; or for each host the networks it is on. */
export type Layout<N extends string> = readonly N[] | Readonly<Record<N, readonly string[]>>;

/** Why this machine can make no hosts; undefined where it can. */
export function whyNoHosts(): string | undefined {
  const missing = ['ip', 'unshare', 'nsenter', 'mount', 'env'].find((program) => !has(program));
  if (missing !== undefined) return `there is no ${missing}`;
  const setUp = 'mount --bind /etc/hosts /etc/hosts && ip link add veth0 type veth peer name veth1 && ip link add net0 type bridge';
  const { status, stderr } = spawnSync('unshare', ['--net', '--mount', 'sh', '-c', setUp], { encoding: 'utf8' });
  return status === 0 ? undefined : `no network namespaces: ${stderr.trim()}`;
}

/** A test on hosts of its own; skipped where there can be none. */
export type HostTest = <N extends string>(
  title: string,
  layout: Layout<N>,
  body: (hosts: Record<N, Host>) => Promise<void>,
  deadlineMs?: number,
) => void;

export function hostTests(test: Suite): HostTest {
  const reason = whyNoHosts();
  return (title, layout, body, deadlineMs) => {
    if (reason === undefined) test(title, () => withHosts(layout, body), deadlineMs);
    else test.skip(title, reason);
  };
}

/** Runs `body` with hosts, and takes them away afterwards. */
async function withHosts<N extends string>(layout: Layout<N>, body: (hosts: Record<N, Host>) => Promise<void>): Promise<void> {
  const plans = planHosts(layout);
  const held: ChildProcess[] = [];
  try {
    await withSandbox(async (sandbox) => {
      const middle = await holdNamespace(held, '/dev/null');
      const hostsFile = `${sandbox.dir}/hosts`;
      writeFileSync(hostsFile, namesOf(plans));
      const pids = await Promise.all(plans.map(() => holdNamespace(held, hostsFile)));
      connectHosts(plans, middle, pids);
      const hosts = plans.map((plan, at) => [plan.name, makeHost(plan, sandbox, { pid: pids[at]!, middle })] as const);
      await body(Object.fromEntries(hosts) as Record<N, Host>);
    });
  } finally {
    endLeftovers(held);
    for (const holder of held) holder.stdin!.end();
    const living = held.filter((holder) => holder.exitCode === null && holder.signalCode === null);
    await Promise.all(living.map((holder) => once(holder, 'exit')));
  }
}

/** Ends what is left in the hosts: a session of sshd, say, which will not hear over a link that is cut that its client has gone. */
function endLeftovers(holders: readonly ChildProcess[]): void {
  const held = holders.map(({ pid }) => `${pid}`);
  const spaces = new Set(held.map(namespaceOf));
  // Never ours: a holder that could not make one of its own is still in it.
  spaces.delete(namespaceOf('self'));
  spaces.delete(undefined);
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name) && !held.includes(name))) {
    if (spaces.has(namespaceOf(pid))) spawnSync('kill', ['-KILL', pid]);
  }
}

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    // It has just ended.
    return undefined;
  }
}

interface Plan {
  readonly name: string;
  readonly links: readonly { network: string; bridge: string; port: string; device: string; address: string; address6: string }[];
}

function planHosts(layout: Layout<string>): Plan[] {
  const wanted = Object.entries(
    Array.isArray(layout) ? Object.fromEntries((layout as readonly string[]).map((name) => [name, ['lan']])) : layout,
  );
  const networks = [...new Set(wanted.flatMap(([, names]) => names as readonly string[]))];
  return wanted.map(([name, names], at) => ({
    name,
    links: (names as readonly string[]).map((network, device) => {
      const number = networks.indexOf(network);
      return {
        network,
        bridge: `net${number}`,
        port: `p${number}x${at}`,
        device: `eth${device}`,
        address: `10.77.${number}.${at + 1}`,
        address6: `fd77:0:0:${number + 1}::${at + 1}`,
      };
    }),
  }));
}

function namesOf(plans: readonly Plan[]): string {
  const lines = plans.flatMap(({ name, links }) => links.flatMap((link) => [`${link.address} ${name}`, `${link.address6} ${name}`]));
  return ['127.0.0.1 localhost', '::1 localhost', ...lines, ''].join('\n');
}

/** Makes the namespaces of one host, and returns the pid that stands for them. */
async function holdNamespace(held: ChildProcess[], hostsFile: string): Promise<number> {
  // Without duplicate address detection an IPv6 address can be used at once.
  const setUp = `
    for each in all default; do echo 0 > /proc/sys/net/ipv6/conf/$each/accept_dad; done 2>/dev/null
    [ "$1" = /dev/null ] || mount --bind "$1" /etc/hosts || exit 1
    echo; exec cat >/dev/null`;
  const holder = spawn('unshare', ['--net', '--mount', 'sh', '-c', setUp, 'sh', hostsFile], { stdio: ['pipe', 'pipe', 'inherit'] });
  held.push(holder);
  await Promise.race([
    once(holder.stdout, 'data'),
    once(holder, 'exit').then(() => Promise.reject(new Error('cannot make a network namespace'))),
  ]);
  return holder.pid!;
}

function connectHosts(plans: readonly Plan[], middle: number, pids: readonly number[]): void {
  const bridges = [...new Set(plans.flatMap((plan) => plan.links.map((link) => link.bridge)))];
  const cables = plans.flatMap((plan, at) =>
    plan.links.flatMap(({ port, device, bridge }) => [
      `link add ${port} type veth peer name ${device} netns ${pids[at]}`,
      `link set ${port} master ${bridge} up`,
    ]),
  );
  ip(middle, [...bridges.flatMap((name) => [`link add ${name} type bridge mcast_snooping 0`, `link set ${name} up`]), ...cables]);
  plans.forEach((plan, at) => ip(pids[at]!, ['link set lo up', ...plan.links.flatMap(addressLink)]));
  // A multicast route as a host with a default route has it; it goes by the first network.
  plans.forEach(({ links }, at) => links[0] && ip(pids[at]!, [`route add 224.0.0.0/4 dev ${links[0].device}`]));
}

function addressLink({ device, address, address6 }: Plan['links'][number]): string[] {
  return [`link set ${device} up`, `addr add ${address}/24 brd + dev ${device}`, `addr add ${address6}/64 dev ${device} nodad`];
}

function makeHost(plan: Plan, sandbox: Sandbox, { pid, middle }: { pid: number; middle: number }): Host {
  const dir = `${sandbox.dir}/${plan.name}`;
  const root = `${dir}/root`;
  const env = { ...sandbox.env, DIPUS_ROOT: root, DIPUS_HOST: plan.name, DIPUS_CONFIG: `${dir}/config` };
  mkdirSync(dir);
  const start: Host['start'] = (command, args = [], options: SpawnOptions = {}) => {
    const own = bundle(command);
    // Each of these becomes the next: the program's pid is the program itself. A mount namespace is entered at its root.
    const inside = ['-t', String(pid), '--net', '--mount', 'env', '-C', String(options.cwd ?? dir), existsSync(own) ? own : command];
    return new Program('nsenter', [...inside, ...args], { env, ...options });
  };
  const run: Host['run'] = (command, args, input = '', options = {}) => {
    const program = start(command, args, options);
    program.child.stdin?.end(input);
    return program.ended;
  };
  const onLinks = (network: string | undefined, line: (link: Plan['links'][number]) => string[]): void =>
    ip(middle, plan.links.filter((link) => network === undefined || link.network === network).flatMap(line));
  return {
    name: plan.name,
    dir,
    root,
    env,
    start,
    run,
    address: plan.links[0]?.address ?? '127.0.0.1',
    address6: plan.links[0]?.address6 ?? '::1',
    networks: Object.fromEntries(plan.links.map((link) => [link.network, link])),
    cut: (network) => onLinks(network, ({ port }) => [`link set ${port} nomaster`]),
    unplug: (network) => onLinks(network, ({ port }) => [`link set ${port} down`]),
    restore: (network) => onLinks(network, ({ port, bridge }) => [`link set ${port} master ${bridge} up`]),
    relay: (to, delayMs = 0) => startRelay(start, to, delayMs),
  };
}

async function startRelay(start: Host['start'], to: { host: string; port: number }, delayMs: number): Promise<SlowRelay> {
  const program = start(process.execPath, [resolve('tests/slow-relay.mjs'), to.host, String(to.port), String(delayMs)]);
  const port = Number(await program.line());
  const say = (words: string): void => void program.child.stdin!.write(`${words}\n`);
  return { port, delay: (ms) => say(`delay ${ms}`), hold: () => say('hold'), go: () => say('go'), reset: () => say('reset') };
}

/** Runs lines of ip(8) in a namespace. */
function ip(pid: number, lines: readonly string[]): void {
  execFileSync('nsenter', ['-t', String(pid), '--net', 'ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
