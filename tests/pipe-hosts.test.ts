// Pipelines over several hosts of which one, or a link between two, is cut.
import { existsSync, readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, has, isLong, suite, type Program } from './harness.ts';
import { hostTests, type Host } from './hosts.ts';
import { programsOf } from './processes.ts';

const test = suite('pipe-hosts');
const onHosts = hostTests(test);
const longMs = 60_000;

// Silence is noticed after half a minute; the short form has not so much time.
const envOf = (host: Host): NodeJS.ProcessEnv => ({ ...host.env, ...(!isLong && { DIPUS_TIME_SCALE: '0.3' }) });
const sh = (script: string): string => `sh -c '${script}'`;

/** A host where anything may run, behind an exporter without encryption. Returns its dpipesd. */
async function serve(host: Host): Promise<Program> {
  const env = envOf(host);
  const daemon = host.start('dpipesd', ['-x', '--app', 'sh args=any', '--call', '*'], { env });
  await daemon.line(longMs);
  await host.start('dexport', ['--plain', '--user', 'root', '--no-announce'], { env }).line(longMs);
  return daemon;
}

if (has('nft')) {
  onHosts(
    'an idle pipeline that is cut, or a link of it alone, ends within 45 s, and commits nothing',
    ['me', 'a', 'b', 'c'],
    async ({ me, a, b, c }) => {
      const daemons = await Promise.all([a, b, c].map(serve));
      const begin = async (first: Host, second: Host): Promise<Program> => {
        const part = `${second.dir}/part`;
        const [half, commit] = [sh('echo begun; exec sleep 4242'), sh(`cat > ${part} && mv ${part} ${second.dir}/committed`)];
        const pipeline = `@${first.name} ${half} | @${second.name} ${commit}`;
        const client = me.start('dpipes', ['-n', '-t', '60', '-N', 'sep://a', '-N', 'sep://b', '-N', 'sep://c', pipeline], {
          env: envOf(me),
        });
        await eventually('it has begun', () => existsSync(part) && readFileSync(part).length > 0, longMs);
        return client;
      };
      const [link, host] = [await begin(a, b), await begin(a, c)];
      // From a to b nothing comes any more, though this host reaches both.
      const rules = 'add table inet t; add chain inet t in { type filter hook input priority 0; };';
      const drop = `${rules} add rule inet t in ip saddr ${a.address} drop; add rule inet t in ip6 saddr ${a.address6} drop`;
      assert.is((await b.run('nft', [drop])).status, 0);
      c.cut();
      const began = Date.now();
      const ends = await Promise.all([link.ended, host.ended]);
      assert.equal(
        ends.map(({ status }) => status),
        [125, 125],
      );
      assert.ok(Date.now() - began < 45_000, `${Date.now() - began} ms`);
      assert.match(ends[0].stderr, /dpipes: cannot finish stage 2, sh: its input.* broke off\n/);
      assert.match(ends[1].stderr, /dpipes: cannot finish stage 2, sh at sep:\/\/c\S+: the connection to it is lost\n/);
      await eventually('all programs are gone', () => daemons.every((daemon) => programsOf(daemon.pid).length === 0), longMs);
      for (const { dir } of [b, c]) assert.not(existsSync(`${dir}/committed`));
    },
    180_000,
  );
} else {
  test.skip('an idle pipeline that is cut', 'there is no nft');
}

test.run();
