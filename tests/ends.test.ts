// The end of a session on every way to a service: whatever was sent, the whole answer comes, and the status.
import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import * as assert from 'uvu/assert';
import { isLong, rounds, suite, type Ended, type Program } from './harness.ts';
import { exporter, sockets } from './sep-pair.ts';
import { sepsExporter } from './seps-exporter.ts';
import { withPair, type Pair } from './ssh-pair.ts';

const test = suite('ends');

const answers = { nothing: 0, little: 6, much: 300_000, ...(isLong && { lots: 3_000_000 }) };
const ends = { done: ['exit 0', 0], failed: ['exit 3', 3], killed: ['kill -9 $$', 137] } as const;
const inputs = { none: 0, little: 6, much: isLong ? 3_000_000 : 300_000, endless: Infinity };

type Answer = 'nothing' | 'little' | 'much' | 'lots';
type End = keyof typeof ends;
type Input = keyof typeof inputs;

interface Service {
  readonly name: string;
  readonly answer: Answer;
  readonly end: End;
  /** Reads its input to the end before it answers. */
  readonly isReader: boolean;
}

const services: Service[] = Object.keys(answers).flatMap((answer) =>
  Object.keys(ends).flatMap((end) =>
    [false, true].map((isReader) => ({
      name: `${answer}-${end}${isReader ? '-reader' : ''}`,
      answer: answer as Answer,
      end: end as End,
      isReader,
    })),
  ),
);

/** How a service is reached: a command, its arguments and the root it is run in. */
interface Way {
  readonly name: string;
  command(service: Service): readonly [string, ...string[]];
  readonly root?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** How the command ends where the program ends so; as the program unless given. */
  readonly status?: (end: End, answer: Answer) => number;
  /** All services by all inputs unless given. */
  readonly takes?: (cell: Cell) => boolean;
  /** The short form has every so many cells of it. */
  readonly every: number;
}

test('every way gives the whole answer and the status, whatever was sent and however it ends', async () => {
  await withPair(async (pair) => {
    const expected = await serveAll(pair);
    const ways = await openWays(pair);
    const env = pair.envWith();
    const faults: string[] = [];
    for (let round = 0; round < rounds(1, 200); round++) {
      const tasks = ways.flatMap((way) => cellsOf(way).map((cell) => () => tryCell(pair, { ...cell, way, expected, env })));
      await inParallel(tasks, 4, (fault) => faults.push(fault));
      assert.equal(faults, []);
    }
  });
}, 300_000);

/** All services in one process; returns what each answer is. */
async function serveAll(pair: Pair): Promise<Record<Answer, Buffer>> {
  const expected = {} as Record<Answer, Buffer>;
  for (const [answer, bytes] of Object.entries(answers)) {
    const body = Buffer.alloc(bytes);
    for (let at = 0; at < bytes; at++) body[at] = (at * 31 + (at >> 8)) & 0xff;
    writeFileSync(`${pair.dir}/${answer}`, body);
    expected[answer as Answer] = body;
  }
  const lines = services.map(({ name, answer, end, isReader }) => {
    return `-x ${name} ${isReader ? 'cat >/dev/null; ' : ''}cat ${pair.dir}/${answer}; ${ends[end][0]}`;
  });
  writeFileSync(`${pair.dir}/services`, `${lines.join('\n')}\n`);
  const server = pair.start('dserve', ['--from', `${pair.dir}/services`]);
  for (let line = ''; line !== 'ready';) line = await server.line();
  return expected;
}

async function openWays(pair: Pair): Promise<Way[]> {
  const { uri } = await exporter(pair);
  const roots = { sep: `${pair.dir}/b`, ssh: `${pair.dir}/c`, seps: `${pair.dir}/d` };
  const seps = await sepsExporter(pair, ['PIN box user=root']);
  const sepsUri = `seps://127.0.0.1:${seps.port}`;
  const sepsEnv = { DIPUS_CONFIG: `${pair.dir}/cli` };
  writeFileSync(`${pair.dir}/cli/known_peers`, `127.0.0.1:${seps.port} ${seps.identity.pin}\n`, { mode: 0o600 });
  const importInto = (root: string, from: string): Program =>
    pair.start('dimport', [from], { env: { ...pair.envWith(), ...sepsEnv, DIPUS_ROOT: root } });
  await allIn(importInto(roots.sep, uri));
  await allIn(importInto(roots.ssh, pair.uri('exported')));
  await allIn(importInto(roots.seps, sepsUri));
  assert.is(sockets(roots.sep).length, services.length);
  const user = userInfo().username;
  // In the short form most by SEP, where connections end in most ways.
  const [some, few] = [11, 61];
  return [
    { name: 'local', command: ({ name }) => ['dcat', name], root: pair.root, every: some },
    { name: 'sep', command: ({ name }) => ['dcat', `${uri}/${name}`], every: 3 },
    { name: 'ssh', command: ({ name }) => ['dcat', pair.uri(name)], every: some },
    { name: 'import by sep', command: ({ name }) => ['dcat', name], root: roots.sep, every: some },
    { name: 'import by ssh', command: ({ name }) => ['dcat', name], root: roots.ssh, every: some },
    { name: 'seps', command: ({ name }) => ['dcat', `${sepsUri}/${name}`], env: sepsEnv, every: some },
    { name: 'import by seps', command: ({ name }) => ['dcat', name], root: roots.seps, every: some },
    { name: 'two hosts away', command: ({ name }) => ['dcat', `ssh://box/${user}/${name}?root=${roots.sep}`], every: some },
    { name: 'dpipes', command: ({ name }) => ['dpipes', `@${name}`], root: pair.root, takes: endsByItself, every: few },
    await linkedWay(pair, uri),
    ...(await daemonWays(pair, few)),
    // What goes on sending to what has ended is the affair of curl.
    {
      name: 'POST',
      command: ({ name }) => ['curl', '-sSf', '-T', '-', '-H', 'Expect:', `${uri.replace('sep:', 'http:')}/${name}`],
      status: statusOfCurl,
      takes: ({ input }) => input !== 'endless',
      every: few,
    },
  ];
}

/** What a killed stage has given is not certified: tests/pipe-kills.test.ts. */
function endsByItself({ service }: Cell): boolean {
  return service.end !== 'killed';
}

/** Of a program that has failed it gets no whole body, or none. */
function statusOfCurl(end: End, answer: Answer): number {
  if (end === 'done') return 0;
  return answer === 'nothing' ? 22 : 18;
}

/** One service behind a link to an exporter: each link is a process. */
async function linkedWay(pair: Pair, uri: string): Promise<Way> {
  const linked = services.find(({ name }) => name === 'much-failed')!;
  await pair.start('dlink', [`${uri}/${linked.name}`, 'linked']).line();
  return { name: 'dlink', command: () => ['dcat', 'linked'], root: pair.root, takes: ({ service }) => service === linked, every: 2 };
}

/** By daemons, which tell no status. */
async function daemonWays(pair: Pair, every: number): Promise<Way[]> {
  const ways: Way[] = [];
  for (const daemon of ['dtcp', 'dws']) {
    const program = pair.start(daemon, ['-l', '127.0.0.1:0']);
    const uri = await program.line();
    await program.line();
    ways.push({ name: daemon, command: ({ name }) => ['dcat', `${uri}/${name}`], root: pair.root, status: () => 0, every });
  }
  return ways;
}

/** Waits until a dimport has told of all services. */
async function allIn(program: Program): Promise<void> {
  for (let count = 0; count < services.length; count++) await program.line();
}

interface Cell {
  readonly service: Service;
  readonly input: Input;
}

interface Trial extends Cell {
  readonly way: Way;
  readonly expected: Record<Answer, Buffer>;
  readonly env: NodeJS.ProcessEnv;
}

function cellsOf({ name, takes = () => true, every }: Way): Cell[] {
  const cells = services.flatMap((service) =>
    (Object.keys(inputs) as Input[]).filter((input) => !(service.isReader && input === 'endless')).map((input) => ({ service, input })),
  );
  return cells.filter(takes).filter((_, at) => isLong || (at + name.length) % every === 0);
}

/** What is wrong with one use of a service; undefined: nothing. */
async function tryCell(pair: Pair, cell: Trial): Promise<string | undefined> {
  const { way } = cell;
  const [command, ...args] = way.command(cell.service);
  const program = pair.start(command, args, { env: { ...cell.env, ...way.env, DIPUS_ROOT: way.root ?? `${pair.dir}/nothing` } });
  const stopFeeding = feed(program, inputs[cell.input]);
  const ended = await program.ended;
  stopFeeding();
  const { answer, end } = cell.service;
  const wrong = whatIsWrong(ended, cell.expected[answer], way.status?.(end, answer) ?? ends[end][1]);
  return wrong && `${way.name}, ${cell.service.name}, input ${cell.input}: ${wrong}`;
}

function whatIsWrong(ended: Ended, answer: Buffer, status: number): string | undefined {
  if (ended.status !== status) return `status ${ended.status}, not ${status}: ${ended.stderr}`;
  if (!ended.stdout.equals(answer)) return `${ended.stdout.length} bytes of ${answer.length}: ${ended.stderr}`;
  // A program that was killed is told of; nothing else is.
  const told = ended.stderr.replace(/^dcat: the program of \S+ was killed by SIGKILL\n$|^curl: \((?:18|22)\) .*\n$/, '');
  return told === '' ? undefined : told;
}

const chunk = Buffer.alloc(65_536, 'x');

/** Writes input to a program; without an end it writes on until it is told to stop. */
function feed(program: Program, bytes: number): () => void {
  const stdin = program.child.stdin!;
  if (bytes !== Infinity) {
    stdin.end(Buffer.alloc(bytes, 'y'));
    return () => {};
  }
  let isStopped = false;
  const more = (): void => {
    if (isStopped || stdin.destroyed) return;
    if (stdin.write(chunk)) setImmediate(more);
    else stdin.once('drain', more);
  };
  more();
  return () => {
    isStopped = true;
    stdin.destroy();
  };
}

async function inParallel(
  tasks: readonly (() => Promise<string | undefined>)[],
  width: number,
  tell: (fault: string) => void,
): Promise<void> {
  const queue = [...tasks];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let task = queue.shift(); task; task = queue.shift()) {
        const fault = await task();
        if (fault !== undefined) tell(fault);
      }
    }),
  );
}

test.run();
