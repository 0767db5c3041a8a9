// Measures our paths and their peers in turn, in one run: node scripts/bench.mjs [--rounds N] [--quick] [--json] [PART...]
// A target is a ratio of two medians of the same run. Ends with 1 if one is missed. Each part is a file of scripts/bench/.
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { printReport } from './bench/report.mjs';
import { openStage } from './bench/stage.mjs';

// In the order of the report; a new part is a new file and a name here.
const here = ['throughput', 'latency', 'startup', 'short', 'list', 'many', 'many-memory', 'memory', 'stop', 'stall'];
const parts = [
  ...here,
  'socketpipe',
  'pipes',
  'pipes-two',
  'pipes-keyed',
  'pipes-startup',
  'sep',
  'sep-connect',
  'sep-serial',
  'sep-idle',
  'direct',
  'direct-short',
  'seps',
  'seps-connect',
  'seps-serial',
  'seps-idle',
  'seps-stall',
  'ssh',
  'ssh-connect',
  'ask',
  'ask-rate',
  'round-trip',
  'daemons',
  'dlink',
  'registry',
];

const { values, positionals } = parseArgs({
  options: { rounds: { type: 'string' }, quick: { type: 'boolean', default: false }, json: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const rounds = Number(values.rounds ?? (values.quick ? 3 : 5));
const wanted = positionals.length === 0 ? parts : positionals;
const wrong = wanted.find((name) => !parts.includes(name));
if (wrong !== undefined || !Number.isInteger(rounds) || rounds < 1) {
  console.error(`bench: ${wrong === undefined ? 'rounds is a whole number from 1' : `no part ${wrong}: there are ${parts.join(', ')}`}`);
  process.exitCode = 2;
} else {
  const report = { machine: machine(), rounds, quick: values.quick, parts: [] };
  for (const name of wanted) {
    if (!values.json) process.stderr.write(`bench: ${name}\n`);
    report.parts.push(await measure(name));
  }
  if (values.json) console.log(JSON.stringify(report, undefined, 2));
  else printReport(report);
  if (report.parts.some((part) => part.targets.some((target) => target.met === false))) process.exitCode = 1;
}

/** Runs one part: all contenders in turn, round by round, so that a slow minute of the machine meets all of them. */
async function measure(name) {
  const { prepare } = await import(`./bench/${name}.mjs`);
  const stage = openStage({ quick: values.quick });
  try {
    const { title, unit, contenders, targets = [], repeat = 1 } = await prepare(stage);
    const rows = contenders.map(({ name: label, lacks }) => ({ name: label, values: [], ...(lacks && { lacks }) }));
    for (let round = 0; round < rounds * repeat; round++) {
      for (const [at, contender] of contenders.entries()) {
        if (contender.lacks === undefined) rows[at].values.push(await contender.measure());
      }
    }
    for (const row of rows) if (row.values.length > 0) row.median = median(row.values);
    const medians = Object.fromEntries(rows.map((row) => [row.name, row.median]));
    return { name, title, unit, rows, targets: targets.map((judge) => judge(medians)) };
  } finally {
    await stage.close();
  }
}

function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function machine() {
  return {
    cpus: cpus().length,
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGb: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
  };
}
