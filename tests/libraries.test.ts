// Each library installs from its tarball, and the example of its README compiles against the types that it brings, and runs.
import { cpSync, mkdirSync, readFileSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { has, suite, withSandbox, type Sandbox } from './harness.ts';
import { whyNoHosts } from './hosts.ts';
import { runOnHost } from './example-host.ts';

interface Case {
  /** What must be there before, as shell. */
  readonly before?: string;
  /** Text of the example that means something else here. */
  readonly swap?: Readonly<Record<string, string>>;
  /** It goes on until it is ended: this is waited for until it succeeds. */
  readonly until?: string;
  /** What is looked at afterwards, as shell. */
  readonly after?: string;
  /** What the example and `after` print. */
  readonly gives: RegExp;
}

const sshd = `
  mkdir keys /run/sshd 2> /dev/null
  for key in host own; do ssh-keygen -q -t ed25519 -N '' -f keys/$key; done
  printf '%s\\n' 'ListenAddress 127.0.0.1' "HostKey $PWD/keys/host" "AuthorizedKeysFile $PWD/keys/own.pub" 'StrictModes no' 'UsePAM no' \\
    'PermitRootLogin yes' 'PidFile none' 'Subsystem sftp internal-sftp' > sshd_config
  echo "stereo $(cut -d ' ' -f 1,2 keys/host.pub)" > known
  printf '%s\\n' 'Host stereo' 'User root' "IdentityFile $PWD/keys/own" "UserKnownHostsFile $PWD/known" > ssh_config
  printf '#!/bin/sh\\nexec /usr/bin/ssh -F %s "$@"\\n' "$PWD/ssh_config" > bin/ssh; chmod 755 bin/ssh
  /usr/sbin/sshd -D -f "$PWD/sshd_config" & until (: < /dev/tcp/127.0.0.1/22) 2> /dev/null; do sleep 0.05; done
  serve cat echo/audio`;
const onStereo = { 'ssh://kig@stereo/audio': 'ssh://root@stereo/audio?root=ROOT' };
const encode = 'export DIPUS_HOST=encode; serve -x cat lame; background dexport --plain --user root';

/** By the name of the library. */
const cases: Readonly<Record<string, Case>> = {
  cli: { gives: /^hello \n$/ },
  daemon: { after: 'echo ended', gives: /^ended\n$/ },
  descriptors: { swap: { '/tmp/who': 'who' }, until: '[ -S who ]', after: 'socat - UNIX-CONNECT:who', gives: /^0\n$/ },
  ipc: {
    before: 'background dtcp; nc -l 127.0.0.1 9000 > heard & until grep -q :2328 /proc/net/tcp; do sleep 0.05; done',
    swap: { "scheme: 'tls'": "scheme: 'tcp'", 'tls://alice@auth.example:9000/authd': 'tcp://127.0.0.1:9000' },
    after: 'wait %2; cat heard',
    gives: /^hello$/,
  },
  mdns: {
    before: `ip link add eth0 type veth peer name eth1; ip link set eth1 up; ip link set eth0 up; ip addr add 10.77.0.1/24 dev eth0
      ip route add 224.0.0.0/4 dev eth0
      export DIPUS_HOST=encode; background dexport --plain --user root`,
    until: 'grep -q encode out',
    gives: /^\+ sep:\/\/encode\.local:7370\n/,
  },
  objects: { gives: /^\{"__dpipes":\{"dp\.addr":"10\.0\.0\.2"\}, "n": 1\.00 \}\n$/ },
  programs: { gives: /^\{ signal: 'TERM' \}\n$/ },
  proto: { gives: /^1\n$/ },
  registry: {
    before: `etcd --data-dir etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \\
        --listen-peer-urls http://127.0.0.1:2380 2> etcd.log &
      until grep -q :094B /proc/net/tcp; do sleep 0.05; done
      background dexport --user root -r etcd://127.0.0.1
      until ETCDCTL_API=3 etcdctl get --prefix /dipus | grep -q uri; do sleep 0.1; done`,
    swap: { 'etcd.example.com': '127.0.0.1' },
    gives: /^sep:\/\/127\.0\.0\.1:7370\n(?:sep:\/\/\[::1\]:7370\n)?$/,
  },
  relay: {
    before: `serve cat echo; printf hello | socat -t 30 - TCP-LISTEN:7370 > back &
      until grep -q :1CCA /proc/net/tcp; do sleep 0.05; done`,
    swap: { '/tmp/dipus/': 'ROOT/' },
    after: 'cat back',
    gives: /^done\nhello$/,
  },
  remote: { before: sshd, swap: onStereo, gives: /^hello$/ },
  sep: { before: encode, gives: /^hello$/ },
  seps: { gives: /^sha256\/\/[\w+/]{43}=\n$/ },
  session: { before: 'serve cat echo', swap: { '/tmp/dipus/': 'ROOT/' }, gives: /^hello$/ },
  shell: { gives: /^db pg_dump shop / },
  ssh: { before: sshd, swap: onStereo, gives: /^hello$/ },
  tree: { before: 'serve cat lame/audio', gives: /^local\/audio\/lame\.box\.\.\.0\n$/ },
};

const test = suite('libraries');
const libraries = readdirSync('packages').filter((name) => {
  const files = readdirSync(`packages/${name}`);
  return files.includes('package.json') && files.includes('src') && !readdirSync(`packages/${name}/src`).includes('cli.ts');
});
const missing =
  whyNoHosts() ?? ['socat', 'nc', 'ssh-keygen'].filter((program) => !has(program)).map((program) => `there is no ${program}`)[0];

/** Installs all libraries into a folder, and compiles their examples there. */
async function install({ dir, run, env }: Sandbox): Promise<void> {
  const within = { cwd: process.cwd(), env: { ...env, PACK: `${dir}/packed` } };
  const packed = await run('sh', ['scripts/pack', ...libraries], '', within);
  assert.is(packed.status, 0, packed.stderr);
  mkdirSync(`${dir}/used`);
  writeFileSync(`${dir}/used/package.json`, '{"type":"module","private":true}');
  const tarballs = readdirSync(`${dir}/packed`).map((file) => `${dir}/packed/${file}`);
  const options = ['--no-audit', '--no-fund', '--offline', '--omit=optional'];
  const installed = await run('npm', ['install', ...options, ...tarballs], '', { cwd: `${dir}/used` });
  assert.is(installed.status, 0, installed.stderr);
  // What Node has is not theirs to bring, and koffi is for the user to install.
  mkdirSync(`${dir}/used/node_modules/@types`, { recursive: true });
  symlinkSync(realpathSync('node_modules/@types/node'), `${dir}/used/node_modules/@types/node`);
  symlinkSync(realpathSync('node_modules/koffi'), `${dir}/used/node_modules/koffi`);
  const examples = await run('node', ['scripts/check-readmes.mjs', `${dir}/used`], '', { cwd: process.cwd() });
  assert.is(examples.status, 0, examples.stdout.toString());
  cpSync('tsconfig.base.json', `${dir}/used/tsconfig.base.json`);
  const compilerOptions = { composite: false, incremental: false, isolatedDeclarations: false, noUnusedLocals: false, types: ['node'] };
  writeFileSync(`${dir}/used/tsconfig.json`, JSON.stringify({ extends: './tsconfig.base.json', compilerOptions, include: ['*.ts'] }));
  const compiled = await run(resolve('node_modules/.bin/tsc'), ['-p', `${dir}/used`, '--pretty', 'false']);
  assert.is(compiled.status, 0, compiled.stdout.toString());
}

/** `used`: where the libraries are. */
async function runExample(
  sandbox: Sandbox,
  used: string,
  [name, { before = '', swap = {}, until, after = '', gives }]: [string, Case],
): Promise<void> {
  const file = `${used}/${name}-0.js`;
  const text = Object.entries(swap).reduce(
    (code, [from, to]) => {
      assert.ok(code.includes(from), `${name}: ${from}`);
      return code.replaceAll(from, to.replace('ROOT', sandbox.root));
    },
    readFileSync(file, 'utf8'),
  );
  writeFileSync(file, text);
  // One that hangs is named by what it has not printed.
  const example = `timeout 20 node ${file}`;
  const running = until === undefined ? example : `${example} > out & timeout 20 bash -c "until ${until}; do sleep 0.05; done"; cat out`;
  const script = [before, '# The example:', running, after].join('\n');
  const { stdout, stderr } = await runOnHost(sandbox, script, {});
  assert.match(stdout.toString(), gives, `${script}\nstdout: ${stdout.toString()}\nstderr: ${stderr}`);
}

test('the README of each has an example, and it is known what that gives', () => {
  const withExample = libraries.filter((name) => /^```ts$/m.test(readFileSync(`packages/${name}/README.md`, 'utf8')));
  assert.equal(withExample, libraries);
  assert.equal(Object.keys(cases).toSorted(), libraries.toSorted());
});

if (missing !== undefined) test.skip('each library installs from its tarball, and its example runs', missing);
else
  test(
    'each library installs from its tarball, and its example runs',
    () =>
      withSandbox(async (sandbox) => {
        await install(sandbox);
        for (const each of Object.entries(cases)) await withSandbox((inner) => runExample(inner, `${sandbox.dir}/used`, each));
      }),
    240_000,
  );

test.run();
