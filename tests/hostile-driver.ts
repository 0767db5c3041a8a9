// Does at random what a user may do to a tree that others share: hostile-driver ROOT SEED. Sockets of its own log what they get that is
// secret.
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';

const [root = '', seed = '0'] = process.argv.slice(2);
const random = generator(Number(seed));
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

const names = [
  ...['echo', 'vault', 'other', 'new0', 'new1', 'new2'].flatMap((name) => [`${name}.box...0`, `.${name}.box...0`, `${name}.box...1`]),
  '.~01234567',
  '..echo.box...0~89abcdef',
  'm',
  'audio',
  'text',
  '.lock',
  `${'ä'.repeat(100)}.box...0`,
  'a b',
  '\u202e.box...0',
];
const modes = [0o000, 0o111, 0o311, 0o644, 0o666, 0o700, 0o744, 0o755, 0o777, 0o1777, 0o2777, 0o4777, 0o7777];
const answers: readonly (string | Buffer)[] = ['', 'forged', Buffer.alloc(100_000, 1), Buffer.from([2, 0, 0, 0, 2, 0x7b, 0x7d])];
const servers = new Set<Server>();
const maxServers = 40;

function folder(): string {
  let path = `${root}/${pick(['local', 'exported'])}`;
  for (let depth = Math.floor(random() * 4); depth > 0 && random() < 0.5; depth--) path += `/${pick(['m', 'audio', 'text'])}`;
  return path;
}

function place(): string {
  return `${folder()}/${pick(names)}`;
}

function bind(path: string): void {
  if (servers.size >= maxServers) [...servers][0]!.close();
  const answer = pick(answers);
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    connection.on('error', () => {});
    connection.on('data', (bytes: Buffer) => {
      if (bytes.includes('SECRET')) process.stdout.write(`got ${JSON.stringify(bytes.toString())} at ${path}\n`);
    });
    if (answer.length > 0) connection.write(answer);
    if (random() < 0.3) connection.destroy();
  });
  server.on('error', () => servers.delete(server)).on('close', () => servers.delete(server));
  servers.add(server);
  server.listen({ path, backlog: pick([1, 511]) }, () => attempt(() => chmodSync(path, pick([0o666, 0o777, 0o4777, 0o600]))));
}

function nest(): void {
  const name = pick(['d', 'n'.repeat(200)]);
  const before = process.cwd();
  attempt(() => {
    mkdirSync(`${root}/local/deep`, { recursive: true });
    process.chdir(`${root}/local/deep`);
    for (let depth = 0; depth < 80; depth++) {
      attempt(() => mkdirSync(name));
      process.chdir(name);
    }
  });
  process.chdir(before);
}

/** Many changes at once: what watches must not drown. */
function flood(): void {
  const path = place();
  for (let at = 0; at < 3000; at++) attempt(() => chmodSync(path, at % 2 ? 0o666 : 0o777));
}

const operations: readonly (() => void)[] = [
  () => mkdirSync(place(), { mode: pick(modes) }),
  () => chmodSync(place(), pick(modes)),
  () => linkSync(place(), place()),
  () => symlinkSync(pick([place(), `${root}/../victim`, '/etc/passwd', '.']), place()),
  () => renameSync(place(), place()),
  () => unlinkSync(place()),
  () => rmSync(place(), { recursive: true, force: true, maxRetries: 0 }),
  () => bind(place()),
  () => bind(place()),
  () => writeFileSync(place(), 'x', { flag: 'wx' }),
  () => utimesSync(place(), pick([0, Date.now() / 1000, Date.now() / 1000 + 7200]), pick([0, Date.now() / 1000, Date.now() / 1000 + 7200])),
  () => void (random() < 0.02 && nest()),
  () => void (random() < 0.02 && flood()),
  () => void [...servers][Math.floor(random() * servers.size)]?.close(),
  () => void lstatSync(place()).isSocket(),
  () => void readdirSync(folder()).length,
];

function attempt(work: () => void): void {
  try {
    work();
  } catch {
    // The kernel refuses most of it.
  }
}

/** The same numbers for the same seed (mulberry32). */
function generator(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

process.on('uncaughtException', () => {});
process.stdout.write('ready\n');
// In small portions, so that it takes no more than a share of a small machine.
setInterval(() => {
  for (let at = 0; at < 40; at++) attempt(pick(operations));
}, 10);
