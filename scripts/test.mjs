// Runs the built tests, each file in a process of its own: node scripts/test.mjs [--long] [--jobs N] [NAME...]
// NAME picks the files whose name contains it; the largest begin. Unless N is given there is one more file at a time than processors.
// The last line is `N passed, N failed, N skipped`. In CI a skipped test is a failure.
import { spawn } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  // One more than there are processors: much of what is tested is waiting.
  options: { long: { type: 'boolean', default: false }, jobs: { type: 'string', default: String(availableParallelism() + 1) } },
  allowPositionals: true,
});
const endMs = 45_000;
const fileDeadlineMs = (values.long ? 90 : 12) * 60_000;
const files = readdirSync('build/tests')
  .filter((file) => file.endsWith('.test.js') && readdirSync('tests').includes(file.replace(/js$/, 'ts')))
  .filter((file) => positionals.length === 0 || positionals.some((name) => file.includes(name)))
  .sort((a, b) => sizeOf(b) - sizeOf(a));

function sizeOf(file) {
  return statSync(`tests/${file.replace(/js$/, 'ts')}`).size;
}

const total = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

async function runFile(file) {
  const started = Date.now();
  const child = spawn(process.execPath, [`build/tests/${file}`], {
    env: { ...process.env, DIPUS_TEST_LONG: values.long ? '1' : '0', FORCE_COLOR: '0' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      // A test that fails may leave what keeps its process.
      if (/^\s*Duration:/m.test(text)) setTimeout(() => child.kill('SIGKILL'), endMs).unref();
    });
  const timer = setTimeout(() => {
    output += `\nnot ended within ${fileDeadlineMs / 60_000} minutes\n`;
    process.kill(-child.pid, 'SIGKILL');
  }, fileDeadlineMs);
  const status = await new Promise((done) => child.on('close', (code) => done(code)));
  clearTimeout(timer);

  const count = (word) =>
    [...output.matchAll(new RegExp(`^\\s*${word}:\\s+(\\d+)`, 'gm'))].reduce((sum, match) => sum + Number(match[1]), 0);
  const ran = count('Total');
  const passed = count('Passed');
  const skips = output.match(/^skipped: .*$/gm) ?? [];
  // A file that dies, or runs no test and skips none, has failed whatever it printed.
  const failed = Math.max(ran - passed, status === 0 && ran + skips.length > 0 ? 0 : 1);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skips.length;
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(
    `${failed ? 'FAILED' : 'ok'}  ${file.replace('.test.js', '')}  ${passed} passed${failed ? `, ${failed} failed` : ''}  ${seconds} s`,
  );
  if (failed) {
    console.log(output.replace(/^/gm, '    '));
    failures.push(...(output.match(/(?<=FAIL {2}).*/g) ?? [`${file.replace('.test.js', '')}  as a whole`]));
  }
  if (!failed) skips.forEach((line) => console.log(`    ${line}`));
}

const queue = [...files];
await Promise.all(
  Array.from({ length: Math.max(1, Number(values.jobs)) }, async () => {
    for (let file = queue.shift(); file; file = queue.shift()) await runFile(file);
  }),
);
// Again at the end, where they are found.
console.log(['', ...failures.map((title) => `FAILED  ${title}`)].join('\n'));
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
if (total.failed > 0 || total.passed === 0 || (process.env.CI && total.skipped > 0)) process.exitCode = 1;
