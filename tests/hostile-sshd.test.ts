// Hosts whose SSH or SFTP server misbehaves: each is one clear line, the right status, and an end in time and memory.
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { isLong, suite, withSandbox, within, type Ended, type Program, type Sandbox } from './harness.ts';
import { peakBytes } from './processes.ts';
import { knownLine, makeKey, noSshd, withSshConfig } from './sshd.ts';

const test = suite('hostile sshd');
const hostile = resolve('tests/hostile-host.mjs');

/** What a tool must make of a kind of host: its status, and what its one line says; undefined: it works. */
interface Row {
  readonly kind: string;
  readonly dls: string | undefined;
  /** Of dcat with a service that has no control socket; the same as dls unless given. */
  readonly dcat?: string | undefined;
  readonly dcatStatus?: number;
}

// A tool that has read its share of a host that never ends has not more than this.
const mostPeakMib = 260;
const mostSeconds = 45;

const asked = 'it answered what was not asked';
const lost = 'the server breaks the protocol: ';
const failure = '/t.*: failure';

const answers: Row[] = [
  ...['wrong-type', 'unknown-type', 'wrong-id', 'handle-for-names', 'version-twice'].map((kind) => ({ kind, dls: asked })),
  ...['short-attributes', 'status-without-number', 'no-realpath', 'too-many-names'].map((kind) => ({
    kind,
    dls: 'its answer is too short',
  })),
  ...['no-attributes', 'no-owner'].map((kind) => ({ kind, dls: 'it does not tell what files are and whose' })),
  ...['status-without-text', 'ok-for-attributes'].map((kind) => ({ kind, dls: failure })),
  { kind: 'status-of-noise', dls: String.raw`/t.*: no\\u\{1b\}\[2j\\u\{a\}x{150,200}$` },
  { kind: 'end-for-attributes', dls: '/t.*: end of file' },
  { kind: 'long-realpath', dls: 'it sent something that is not a path' },
  { kind: 'huge-packet', dls: 'it sent a packet of 4294967280 bytes' },
  { kind: 'tiny-packet', dls: 'it sent a packet of 1 bytes' },
  { kind: 'noise', dls: '(?:it has no SFTP: )?it is not an SFTP server: it says "(?:noise)+\\w*"' },
  ...['silent-lstat', 'silent-names'].map((kind) => ({ kind, dls: String.raw`no answer within \d+ s` })),
  { kind: 'silent-sftp', dls: String.raw`it has no SFTP: no answer within \d+ s` },
  ...['sftp-closes', 'sftp-closes-before-its-answer'].map((kind) => ({ kind, dls: 'it has no (?:SFTP: .*|sftp subsystem)' })),
  { kind: 'sftp-ends', dls: 'it has no SFTP: the SFTP server has ended' },
  { kind: 'sftp-dies', dls: '(?:the SFTP server has ended|the channel was closed before its end)' },
  { kind: 'sftp-confirmed-twice', dls: `${lost}it opens a channel twice` },
  { kind: 'sftp-over-the-window', dls: String.raw`(?:${lost}it sends more than it may|it sent a packet of \d+ bytes)` },
];

const trees: Row[] = [
  { kind: 'well', dls: undefined },
  { kind: 'empty-names', dls: 'nothing', dcat: 'no such service', dcatStatus: 127 },
  { kind: 'endless-names', dls: '(?:nothing|its tree cannot be read.*|no answer within.*)', dcatStatus: 127 },
  { kind: 'bomb', dls: '(?:nothing|its tree cannot be read.*|no answer within.*)', dcatStatus: 127 },
  { kind: 'deep', dls: 'nothing', dcat: 'no such service', dcatStatus: 127 },
];

const channels: Row[] = [
  { kind: 'never-opens', dls: String.raw`no answer within \d+ s` },
  { kind: 'confirms-another', dls: String.raw`no answer within \d+ s` },
  { kind: 'confirms-twice', dls: `${lost}it opens a channel twice` },
  { kind: 'confirms-and-fails', dls: `${lost}it refuses a channel that is open` },
  { kind: 'widens-for-ever', dls: `${lost}it makes a window wider than there are` },
  { kind: 'over-the-window', dls: `${lost}it sends more than it may` },
  ...['closes-twice', 'closes-at-once', 'closes-and-talks'].map((kind) => ({ kind, dls: 'the channel was closed before its end' })),
  { kind: 'fails-twice', dls: 'nothing', dcat: 'connection refused.*', dcatStatus: 127 },
  ...['ends-twice', 'ends-and-talks'].map((kind) => ({ kind, dls: undefined })),
];

const connections: Row[] = [
  { kind: 'rekeys-for-ever', dls: undefined },
  { kind: 'kexinit-storm', dls: 'no key exchange in common.*' },
  ...['asks-for-ever', 'opens-for-ever'].map((kind) => ({
    kind,
    dls: `(?:nothing|${lost}.*|no answer within .*|it has no SFTP: no answer.*)`,
  })),
  ...['ignores-for-ever', 'debugs-for-ever'].map((kind) => ({ kind, dls: '(?:nothing|no answer within .*|it has no SFTP: no answer.*)' })),
  { kind: 'says-goodbye', dls: String.raw`the server closed the connection: bye\\u\{1b\}\[2J\\u\{a\}bye` },
  { kind: 'closes', dls: 'the connection was lost' },
  { kind: 'falls-silent', dls: String.raw`(?:it has no SFTP: )?no answer (?:within|for) \S+ s` },
  ...['succeeds-twice', 'unknown-message', 'data-of-nobody'].map((kind) => ({ kind, dls: undefined })),
];

if (noSshd !== undefined) test.skip('everything', noSshd);
else {
  for (const [title, rows] of Object.entries({ answers, trees, channels, connections })) {
    // The short form has every fifth.
    const some = rows.filter((_, at) => isLong || at % 5 === 0);
    test(`${title} that are wrong`, () => withSandbox((sandbox) => tryAll(sandbox, some)), 600_000);
  }
  addLosses();
}

function addLosses(): void {
  test(
    'a host that is lost again and again leaves nothing behind',
    () =>
      withSandbox(async (sandbox) => {
        const key = `${sandbox.dir}/key`;
        makeKey(key);
        const env = await hostOf({ ...sandbox, dir: `${sandbox.dir}/lost` }, key, 'closes-late');
        const imports = sandbox.start('dimport', ['-v', 'ssh://box?root=/t'], { env: { ...env, DIPUS_TIME_SCALE: '0.1' } });
        // Node warns of the 11th listener of one kind.
        await imports.says(/(?:trying again in[^]*){13}/, 120_000);
        assert.not.match(imports.stderr, /Warning|listeners/);
        assert.is((await imports.stop()).status, 0);
      }),
    180_000,
  );
}

async function tryAll(sandbox: Sandbox, rows: readonly Row[]): Promise<void> {
  const key = `${sandbox.dir}/key`;
  makeKey(key);
  const left = [...rows];
  const worker = async (): Promise<void> => {
    for (let row = left.shift(); row; row = left.shift()) await tryRow({ ...sandbox, dir: `${sandbox.dir}/${row.kind}` }, key, row);
  };
  await Promise.all([worker(), worker()]);
}

async function tryRow(sandbox: Sandbox, key: string, row: Row): Promise<void> {
  const { kind, dls, dcat = dls, dcatStatus } = row;
  const { start } = sandbox;
  const env = await hostOf(sandbox, key, kind);
  const use = (tool: string, ...args: string[]): Program => start(tool, args, { env });
  const listed = measured(kind, use('dls', 'ssh://box?root=/t'));
  const piped = use('dcat', 'ssh://box/x?root=/t');
  piped.child.stdin!.end('hello');
  const imports = use('dimport', 'ssh://box?root=/t');
  judge(kind, 'dls', await listed, dls, 1);
  judge(kind, 'dcat', await measured(kind, piped), dcat, dcatStatus ?? 125);
  // It goes on trying, and ends when it is told to.
  await Promise.race([once(imports.child.stdout!, 'data'), once(imports.child.stderr!, 'data'), imports.ended, listed]);
  const { status, stderr } = await within(mostSeconds * 1000, `${kind}: dimport ends`, measured(kind, imports, 'SIGTERM'));
  isClean(kind, 'dimport', stderr);
  assert.is(status, 0, `${kind}: dimport: ${stderr}`);
}

/** Starts a host of a kind; the environment in which `ssh://box` leads to it. */
async function hostOf(sandbox: Sandbox, key: string, kind: string): Promise<NodeJS.ProcessEnv> {
  const { dir, start } = sandbox;
  mkdirSync(dir);
  const port = await start(process.execPath, [hostile, key, kind]).line();
  writeFileSync(`${dir}/known`, knownLine(`[127.0.0.1]:${port}`, `${key}.pub`));
  const lines = ['Host box', 'HostName 127.0.0.1', `Port ${port}`, 'User root', `UserKnownHostsFile ${dir}/known`, 'IdentityFile none'];
  return { ...withSshConfig(sandbox, lines), DIPUS_ROOT: `${dir}/root`, DIPUS_TIME_SCALE: '0.3' };
}

/** Waits for the end of a program, or ends it, and looks at what it takes meanwhile. */
async function measured(kind: string, program: Program, signal?: NodeJS.Signals): Promise<Ended> {
  const began = Date.now();
  let peakMib = 0;
  const look = (): void => void (peakMib = Math.max(peakMib, peakBytes(program.pid) / (1 << 20)));
  look();
  const timer = setInterval(look, 20);
  try {
    const what = `${kind}: ${program.child.spawnargs.join(' ')}`;
    const ended = await within(mostSeconds * 1000, what, signal ? program.stop(signal) : program.ended);
    assert.ok(peakMib < mostPeakMib, `${what}: ${peakMib} MiB`);
    assert.ok(Date.now() - began < mostSeconds * 1000, what);
    return ended;
  } finally {
    clearInterval(timer);
  }
}

function isClean(kind: string, tool: string, stderr: string): void {
  const lines = stderr.split('\n').slice(0, -1);
  for (const line of lines) assert.match(line, new RegExp(`^${tool}: (?!internal error)`), `${kind}: ${stderr}`);
}

/** One line, or two with a hint, and the status; `reason` "nothing": nothing is found. */
function judge(kind: string, tool: string, ended: Ended, reason: string | undefined, failureStatus: number): void {
  const { status, stderr } = ended;
  const about = `${kind}: ${tool} ended with ${status}: ${stderr}`;
  isClean(kind, tool, stderr);
  const mayBeNothing = reason !== undefined && /^(?:\(\?:)?nothing/.test(reason);
  if (reason === undefined) return assert.equal([status, stderr], [0, ''], about);
  if (mayBeNothing && tool === 'dls' && stderr === '') return assert.ok(status < 2, about);
  if (mayBeNothing && tool === 'dcat' && (status === 0 || status === 127)) return;
  const [first = '', second = ''] = stderr.split('\n');
  assert.match(first, new RegExp(`^${tool}: (?:cannot )?[a-z ]+ ssh://box\\S*: .*${reason}$`), about);
  assert.match(second, new RegExp(`^(?:|${tool}: hint: .*)$`), about);
  assert.ok(status === failureStatus || (mayBeNothing && status === 125), about);
}

test.run();
