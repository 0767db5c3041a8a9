// Where an example is run as it is printed: bash, in namespaces of its own, with programs that stand for those that a machine may not have.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import type { Ended, Sandbox } from './harness.ts';

// A command that goes on is ready when it has printed something.
const prelude = `
  background() { local out=out.$RANDOM$RANDOM; "$@" > $out & until [ -s $out ]; do sleep 0.05; done; }
  serve() { background dserve "$@"; }
  foreign() { socat -t 86400 UNIX-LISTEN:$1,fork EXEC:$2 & until [ -S $1 ]; do sleep 0.05; done; }
  dead() {
    mkdir -p $DIPUS_ROOT/\${1%/*}
    socat -u UNIX-LISTEN:$DIPUS_ROOT/$1 - & until [ -S $DIPUS_ROOT/$1 ]; do sleep 0.05; done
    kill -9 $!; wait $! 2> /dev/null; touch -d '-1 hour' $DIPUS_ROOT/$1
  }
  ip link set lo up; mount --bind hosts /etc/hosts
`;

/** Runs a script on a host of its own, which all names of hosts lead to. What it leaves running ends with it. */
export async function runOnHost(sandbox: Sandbox, script: string, standIns: Readonly<Record<string, string>>): Promise<Ended> {
  const { dir, env } = sandbox;
  mkdirSync(`${dir}/bin`);
  for (const [name, text] of Object.entries(standIns)) {
    writeFileSync(`${dir}/bin/${name}`, `#!/bin/sh\n${text}\n`);
    chmodSync(`${dir}/bin/${name}`, 0o755);
  }
  writeFileSync(`${dir}/hosts`, '127.0.0.1 localhost encode desktop stereo host one two\n');
  const alone = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
  const path = `${dir}/bin:${env['PATH']}`;
  return sandbox.run('unshare', [...alone, 'bash', '-c', `${prelude}\n${script}`], '', { env: { ...env, PATH: path } });
}
