// The command lines with which dipus was announced in December 2005 (ruby-talk, ruby-dipus 0.1.2), as printed there, with the names
// that its programs had. lame is Debian's; what plays, converts and pages is a stand-in that looks at what it gets.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, has, suite, type Program } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';
import { sockets } from './sep-pair.ts';
import { remoteEnvironment, knownLine, makeKey, noSshd, withSshConfig } from './sshd.ts';

const test = suite('names-of-2005');
const onHosts = hostTests(test);
const missing = noSshd ?? (has('lame') ? undefined : 'there is no lame');
const longMs = 60_000;

const standIns = {
  madplay: '[ "$*" = - ] && exec cat > played',
  'jpeg-to-png': 'read kind && [ "$kind" = JPEG ] && echo PNG && exec cat',
  'png-to-text': 'read kind && [ "$kind" = PNG ] && exec cat',
  less: '[ $# = 0 ] && exec cat',
};

/** A second of a tone: 8000 samples of 16 bits, one channel. */
function wav(): Buffer {
  const samples = Buffer.alloc(16_000);
  for (let at = 0; at < 8000; at++) samples.writeInt16LE(Math.round(20_000 * Math.sin(at / 3)), 2 * at);
  const head = Buffer.alloc(44);
  head.write('RIFF', 0);
  head.writeUInt32LE(36 + samples.length, 4);
  head.write('WAVEfmt ', 8);
  head.writeUInt32LE(16, 16);
  for (const [at, value] of [
    [20, 1],
    [22, 1],
    [32, 2],
    [34, 16],
  ] as const)
    head.writeUInt16LE(value, at);
  head.writeUInt32LE(8000, 24);
  head.writeUInt32LE(16_000, 28);
  head.write('data', 36);
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

/** A host with an sshd, to which `login` can log in, and whose tree is where others look for it. */
async function startSshd(host: Host, login: string, key: string): Promise<{ sshd: Program; known: string }> {
  const { dir, root, env } = host;
  makeKey(`${dir}/host-key`);
  writeFileSync(`${dir}/authorized_keys`, key);
  writeFileSync(
    `${dir}/passwd`,
    `root:x:0:0::/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n${login}:x:0:0::/root:/bin/sh\n`,
  );
  const lines = ['ListenAddress 0.0.0.0:22', `HostKey ${dir}/host-key`, 'StrictModes no', `AuthorizedKeysFile ${dir}/authorized_keys`];
  const more = [
    `SetEnv ${remoteEnvironment(env['PATH'])}`,
    'UsePAM no',
    'PermitRootLogin yes',
    'PidFile none',
    'Subsystem sftp internal-sftp',
  ];
  writeFileSync(`${dir}/sshd_config`, `${[...lines, ...more].join('\n')}\n`);
  mkdirSync(root, { recursive: true });
  mkdirSync('/run/sshd', { recursive: true });
  // Outside of the host nothing is at /tmp/dipus, or what was there. A file that is mounted would go when somebody else replaces that file.
  const setUp = `
    mkdir -p /tmp/dipus && mount --bind "$1" /tmp/dipus && cp -a /etc etc && cp passwd etc && mount --bind etc /etc || exit 1
    /usr/sbin/sshd -D -e -f sshd_config & trap 'kill $!; wait; umount /tmp/dipus; rmdir /tmp/dipus 2>/dev/null' TERM; wait`;
  const sshd = host.start('sh', ['-c', setUp, 'sh', root]);
  await sshd.says(/Server listening on 0\.0\.0\.0/, longMs);
  return { sshd, known: knownLine(host.name, `${dir}/host-key.pub`) };
}

if (missing !== undefined) test.skip('the announcement of 2005', missing);
else
  onHosts(
    'the announcement of 2005',
    ['host1', 'host2', 'host3', 'example.com', 'another.com'],
    async ({ host1, host2, host3, 'example.com': example, 'another.com': another }) => {
      const base = `${host1.dir}/..`;
      const prefix = `${base}/prefix`;
      const made = await host1.run(
        'sh',
        ['scripts/install', '--names-of-2005', 'dserve', 'dcat', 'dexport', 'dimport', 'ddiscover', 'dreap'],
        '',
        {
          cwd: process.cwd(),
          env: { ...host1.env, PREFIX: prefix },
        },
      );
      assert.is(made.status, 0, made.stderr);
      mkdirSync(`${base}/bin`);
      for (const [name, script] of Object.entries(standIns)) {
        writeFileSync(`${base}/bin/${name}`, `#!/bin/sh\n${script}\n`);
        chmodSync(`${base}/bin/${name}`, 0o755);
      }
      const path = `${prefix}/bin:${base}/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
      // The directory of the running Node, whatever PATH had it before.
      const node = process.execPath.slice(0, process.execPath.lastIndexOf('/'));
      const on = (host: Host): NodeJS.ProcessEnv => ({ ...host.env, PATH: `${path}:${node}` });
      const begin = async (host: Host, line: string): Promise<Program> => {
        const program = host.start('sh', ['-c', `exec ${line}`], { env: on(host) });
        await program.line(longMs);
        return program;
      };
      const key = makeKey(`${host1.dir}/own-key`);
      const sshds = [await startSshd(host3, 'kig', key), await startSshd(another, 'user', key)];
      writeFileSync(`${host1.dir}/known`, sshds.map(({ known }) => known).join(''));
      const settings = ['Host *', `IdentityFile ${host1.dir}/own-key`, `UserKnownHostsFile ${host1.dir}/known`, 'User root'];
      const env = withSshConfig({ ...host1, env: on(host1) }, settings);

      // Creating services:
      await begin(host3, `dipus-local-pipe 'madplay -' madplay`);
      await begin(host2, `dipus-export-pipe 'lame - -' lame-svc`);
      // Those that the second line uses are there already.
      await begin(example, 'dipus-export-pipe jpeg-to-png convert/image/jpeg/to/image/png');
      await begin(another, 'dipus-local-pipe png-to-text convert/image/png/to/text/plain');
      for (const host of [host2, example]) await begin(host, 'dipus-exporter --plain --user root');
      const discoverer = host1.start('dipus-discoverer', [], { env });
      assert.match(
        [await discoverer.line(longMs), await discoverer.line(longMs)].toSorted().join(),
        /^\+ sep:\/\/example.*,\+ sep:\/\/host2\.local:7370$/,
      );
      const importers = ['dipus-import host2', 'dipus-ssh-importer host3'].map((line) =>
        host1.start('sh', ['-c', `exec ${line}`], { env }),
      );
      await eventually('the imports', () => sockets(`${host1.root}/root`).length === 2, longMs);

      // Using services:
      writeFileSync(`${host1.dir}/foo.wav`, wav());
      writeFileSync(`${host1.dir}/foo.jpeg`, 'JPEG\npicture\n');
      const use = async (line: string, wanted: string): Promise<void> => {
        const { status, stdout, stderr } = await host1.run('sh', ['-c', line], '', { env });
        assert.equal([status, stdout.toString()], [0, wanted], `${line}: ${stderr}`);
      };
      await use('dcat lame-svc foo.wav | dcat madplay.host3', '');
      const played = readFileSync(`${host3.dir}/played`);
      // The sync word of an MPEG audio frame, layer III (ISO/IEC 11172-3, 2.4.1.3).
      assert.equal([played[0], played[1]! & 0xe6], [0xff, 0xe2]);
      assert.ok(played.length > 500);
      const line = 'dcat sep://example.com/image/jpeg/to/image/png foo.jpeg | dcat ssh://user@another.com/image/png/to/text/plain | less';
      await use(line, 'picture\n');

      // A service that is killed leaves its socket behind, and the monitor takes it away.
      const monitor = host2.start('dipus-service-monitor', [], { env: on(host2) });
      const doomed = await begin(host2, `dipus-local-pipe cat doomed`);
      doomed.signal('SIGKILL');
      assert.is(await monitor.line(longMs), '- local/doomed.host2...0');
      // Without their clients no session of them is left.
      for (const importer of importers) assert.is((await importer.stop()).status, 0);
      for (const { sshd } of sshds) await sshd.stop();
    },
    180_000,
  );

test.run();
