// What dls, dcat and dimport make of an exporter that means ill: one line, the right status, in time, with little memory.
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { isLong, sleep, suite, within, withSandbox, type Ended, type Sandbox } from './harness.ts';
import { peakBytes } from './processes.ts';

const test = suite('hostile exporter');

// At a fifth of the times of the design: 2 s for a head, 3 s for a list; and the machine may be busy.
const scale = { DIPUS_TIME_SCALE: '0.2' };
const maxMs = 25_000;
const maxPeakBytes = 200e6;

const lists = [
  'no ready',
  'byte by byte',
  'slow bytes',
  'huge list',
  'deep list',
  'no list',
  'half a list',
  'bad chunk',
  'bad size',
  'endless head',
  'slow head',
  'interim',
  'slow interim',
  'endless refusal',
  'slow refusal',
  'rude refusal',
  'odd status',
  'closed',
  'reset',
  'rubbish',
  'silent',
];
const services = lists.filter((kind) => !/list|ready|byte|bad/.test(kind));

interface Cell {
  readonly tool: string;
  readonly args: (uri: string) => string[];
  readonly status: number;
  readonly kinds: readonly string[];
}

const table: Cell[] = [
  { tool: 'dls', args: (uri) => [uri], status: 1, kinds: lists },
  { tool: 'dls', args: (uri) => ['-w', uri], status: 1, kinds: lists.filter((kind) => kind !== 'no list') },
  { tool: 'dcat', args: (uri) => [`${uri}/good`], status: 125, kinds: lists },
  { tool: 'dimport', args: (uri) => ['--once', uri], status: 1, kinds: lists.filter((kind) => kind !== 'no list') },
  { tool: 'dcat', args: (uri) => [`${uri}/good`], status: 125, kinds: services.map((kind) => `good/${kind}`) },
];

for (const [row, { tool, args, status, kinds }] of table.entries()) {
  // The short form has every other one of the first row, and a part of each other one.
  for (const kind of kinds.filter((_, at) => isLong || at % (row === 0 ? 2 : 6) === row % 2)) {
    test(`${[tool, ...args('URI')].join(' ')}: ${kind}`, async () => {
      await withSandbox(async (sandbox) => {
        const server = sandbox.start(process.execPath, [resolve('tests/hostile-exporter.mjs'), kind]);
        const uri = `sep://127.0.0.1:${await server.line()}`;
        const { ended, ms, peak } = await measured(sandbox, tool, args(uri));
        const told = `${ended.stderr} ${ended.status} ${ms} ms ${peak >> 20} MiB`;
        const isRefused = tool === 'dcat' && /refusal/.test(kind) && kind.startsWith('good/');
        assert.ok(isRefused ? [125, 126, 127].includes(ended.status) : ended.status === status, told);
        assert.match(ended.stderr, new RegExp(`^${tool}: [^\\n]+\\n(?:${tool}: hint: [^\\n]+\\n)?$`), told);
        assert.not.match(ended.stderr, /internal error|    at |[^\n -~]/, told);
        assert.ok(ms < maxMs, told);
        assert.ok(peak < maxPeakBytes, told);
      }, scale);
    });
  }
}

test('a list of odd things is one of those that are services', async () => {
  await withSandbox(async (sandbox) => {
    const server = sandbox.start(process.execPath, [resolve('tests/hostile-exporter.mjs'), 'odd list']);
    const { ended, peak } = await measured(sandbox, 'dls', [`sep://127.0.0.1:${await server.line()}`]);
    assert.equal([ended.status, ended.stdout.toString(), ended.stderr], [1, '', '']);
    assert.ok(peak < 2 * maxPeakBytes, `${peak >> 20} MiB`);
  }, scale);
});

async function measured(sandbox: Sandbox, tool: string, args: readonly string[]): Promise<{ ended: Ended; ms: number; peak: number }> {
  const began = Date.now();
  const program = sandbox.start(tool, args);
  program.child.stdin!.end();
  let peak = 0;
  while (program.child.exitCode === null && program.child.signalCode === null) {
    peak = Math.max(peak, peakBytes(program.pid));
    await Promise.race([program.ended, sleep(20)]);
  }
  return { ended: await within(60_000, 'its end', program.ended), ms: Date.now() - began, peak };
}

test.run();
