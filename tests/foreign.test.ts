// Services and clients that are not of ours, beside ours and through ours.
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { dirname } from 'node:path';
import * as assert from 'uvu/assert';
import { rounds, suite, testWith, withSandbox, type Ended } from './harness.ts';
import { listens, startSocat } from './socat.ts';

const test = suite('foreign');

/** What a program gave, which must have succeeded. */
async function output(ended: Promise<Ended>): Promise<string> {
  const { status, stdout, stderr } = await ended;
  assert.is(status, 0, stderr);
  return stdout.toString();
}

/** Makes a socket look as if it had been there for a minute: a foreign one that refuses is dead then. */
function makeOld(path: string): void {
  const then = Date.now() / 1000 - 60;
  utimesSync(path, then, then);
}

testWith(test, ['socat', 'nc'], 'a service of socat is listed, used and reaped as ours are', () =>
  withSandbox(async (sandbox) => {
    const { root, run, start } = sandbox;
    const path = `${root}/exported/http/foo.bar...0`;
    const foreign = await startSocat(sandbox, path);
    const ours = start('dserve', ['-x', 'cat', 'own/http']);
    await ours.line();
    assert.is(await output(run('dls', ['http'])), 'exported/http/foo.bar...0\nexported/http/own.box...0\n');
    assert.is(await output(run('dls', ['-1f', 'foo'])), `${path}\n`);
    assert.match(await output(run('dls', ['-l', 'foo'])), /^alive - srw\S+ \S+ \S+ \d+s exported\/http\/foo\.bar\.\.\.0\n$/);
    for (const ask of ['foo', 'foo.bar', 'foo.bar...0', 'http', 'exported/http/foo', 'exported/http/foo.bar...0', path, `unix://${path}`]) {
      assert.is(await output(run('dcat', [ask], ask)), ask);
    }
    assert.is(await output(run('socat', ['-', `UNIX-CONNECT:${path}`], 'by socat')), 'by socat');
    assert.is(await output(run('nc', ['-N', '-U', path], 'by nc')), 'by nc');
    assert.is(await output(run('dreap')), '');
    await foreign.stop('SIGKILL');
    makeOld(path);
    assert.is(await output(run('dls', ['foo', '-a'])), 'exported/http/foo.bar...0  (dead)\n');
    assert.is((await run('dls', ['foo'])).status, 1);
    const refused = await run('dcat', ['foo'], 'x');
    assert.equal(
      [refused.status, refused.stderr],
      [127, `dcat: cannot connect to ${path}: connection refused\ndcat: hint: its owner has ended without removing it; dreap removes it\n`],
    );
    // The next match takes over.
    assert.is(await output(run('dcat', ['http'], 'next')), 'next');
    assert.is(await output(run('dreap')), 'exported/http/foo.bar...0\n');
    assert.not.ok(existsSync(path));
  }),
);

testWith(test, ['nc'], 'a service of nc is listed, used and reaped as ours are', () =>
  withSandbox(async (sandbox) => {
    const { root, run, start, dir } = sandbox;
    const path = `${root}/local/text/plain/note.bar...0`;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(`${dir}/note`, 'a note\n');
    for (const client of ['dcat', 'nc']) {
      const foreign = start('sh', ['-c', `exec nc -N -lU ${path} < ${dir}/note`]);
      await listens(path);
      assert.is(await output(run('dls', ['-f', 'text'])), `${path}\n`);
      const read = client === 'dcat' ? run('dcat', ['note'], 'an answer') : run('nc', ['-N', '-U', path], 'an answer');
      assert.is(await output(read), 'a note\n');
      const ended = await foreign.ended;
      assert.equal([ended.status, ended.stdout.toString()], [0, 'an answer']);
      // nc unlinks nothing.
      assert.ok(existsSync(path));
      makeOld(path);
      assert.is(await output(run('dreap')), 'local/text/plain/note.bar...0\n');
      mkdirSync(dirname(path), { recursive: true });
    }
  }),
);

testWith(test, ['socat', 'nc'], 'foreign clients use our services, beside dcat', () =>
  withSandbox(async (sandbox) => {
    const { run, start } = sandbox;
    const dserve = start('dserve', ['tr a-z A-Z', 'upper']);
    const path = await dserve.line();
    const all = await Promise.all(
      Array.from({ length: rounds(12, 300) }, async (_, at) => {
        const text = `text ${at}`;
        const args: [string, string[]] = [
          ['dcat', ['upper']],
          ['socat', ['-t', '10', '-', `UNIX-CONNECT:${path}`]],
          ['nc', ['-N', '-U', path]],
        ][at % 3] as [string, string[]];
        return (await output(run(args[0], args[1], text))) === text.toUpperCase();
      }),
    );
    assert.not.ok(all.includes(false));
    assert.is(dserve.stderr, '');
  }),
);

testWith(test, ['socat', 'nc'], 'a large file comes through unchanged, whoever is at either end', () =>
  withSandbox(async (sandbox) => {
    const { root, run, start, dir } = sandbox;
    const file = `${dir}/file`;
    const bytes = randomBytes(rounds(8, 256) * 1024 * 1024 + 1);
    writeFileSync(file, bytes);
    const ours = start('dserve', ['cat', 'ours']);
    const path = await ours.line();
    const theirs = `${root}/local/theirs.box...0`;
    await startSocat(sandbox, theirs);
    const shell = async (command: string): Promise<void> => {
      const ended = await run('sh', ['-c', `${command} < ${file} > ${dir}/copy`]);
      assert.equal([ended.status, ended.stderr], [0, ''], command);
      assert.is(Buffer.compare(readFileSync(`${dir}/copy`), bytes), 0, command);
    };
    await shell(`socat -t 30 - UNIX-CONNECT:${path}`);
    await shell(`nc -N -U ${path}`);
    await shell('dcat theirs');
    await shell('dcat ours | dcat theirs');
  }),
);

// The smallest server of HTTP that curl believes, as a service: one request, one answer.
const httpService = String.raw`read -r method target rest
length=0
while read -r header && [ "$header" != "$(printf '\r')" ]; do
  case $header in [Cc]ontent-[Ll]ength:*) length=$(printf %s "${'${header#*:}'}" | tr -dc 0-9) ;; esac
done
body=$(head -c "$length")
answer="$method $target $body from $DIPUS_SERVICE"
printf 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %s\r\nConnection: close\r\n\r\n%s' "${'${#answer}'}" "$answer"`;

testWith(test, ['curl'], 'curl --unix-socket is a client of a service that speaks HTTP, and so is dcat', () =>
  withSandbox(async (sandbox) => {
    const { run, start, dir } = sandbox;
    writeFileSync(`${dir}/http`, httpService);
    const dserve = start('dserve', ['-x', `sh ${dir}/http`, 'www/http']);
    const path = await dserve.line();
    const curl = (...args: string[]): Promise<Ended> => run('curl', ['-sS', '--max-time', '20', '--unix-socket', path, ...args]);
    for (let round = 0; round < rounds(3, 50); round++) {
      assert.is(await output(curl('http://box/some/page')), 'GET /some/page  from www.box...0');
      assert.is(await output(curl('-d', 'a form', 'http://box/post')), 'POST /post a form from www.box...0');
    }
    const answered = await output(run('dcat', ['http'], 'GET /by-hand HTTP/1.0\r\n\r\n'));
    assert.match(answered, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nGET \/by-hand {2}from www\.box\.\.\.0$/);
    assert.is(dserve.stderr, '');
  }),
);

testWith(test, ['curl', 'socat'], 'a server of HTTP behind socat is used by curl as the name says', () =>
  withSandbox(async (sandbox) => {
    const { root, dir, run } = sandbox;
    writeFileSync(`${dir}/http`, httpService);
    chmodSync(dir, 0o755);
    await startSocat(sandbox, `${root}/exported/http/www.box...7`, { address: `EXEC:sh ${dir}/http` });
    const command = 'curl -sS --max-time 20 --unix-socket "$(dls -1f http)" http://box/x';
    assert.is(await output(run('sh', ['-c', command])), 'GET /x  from ');
  }),
);

testWith(test, ['socat'], 'chains of ours and theirs', () =>
  withSandbox(async (sandbox) => {
    const { root, run, start, dir } = sandbox;
    await start('dserve', ['tr a-z A-Z', 'upper/text']).line();
    writeFileSync(`${dir}/twice`, 's/.*/&&/');
    await startSocat(sandbox, `${root}/local/text/twice.box...0`, { address: `EXEC:sed -f ${dir}/twice` });
    assert.is(await output(run('sh', ['-c', 'dcat upper | dcat text/twice'], 'ab\n')), 'ABAB\n');
    // A service of ours may be socat's client, and the other way round.
    const upper = `${root}/local/text/upper.box...0`;
    await start('dserve', [`socat -t 10 - UNIX-CONNECT:${upper}`, 'ours/proxy']).line();
    await startSocat(sandbox, `${root}/local/proxy/theirs.box...0`, { address: `UNIX-CONNECT:${upper}` });
    for (const name of ['ours', 'theirs']) assert.is(await output(run('dcat', [name], 'through')), 'THROUGH', name);
  }),
);

testWith(test, ['socat'], 'dserve leaves the names of living foreign services alone', () =>
  withSandbox(async (sandbox) => {
    const { root, run, start } = sandbox;
    await startSocat(sandbox, `${root}/local/echo.box...0`);
    const dserve = start('dserve', ['cat', 'echo']);
    assert.is(await dserve.line(), `${root}/local/echo.box...1`);
    assert.is(await output(run('dls', ['echo'])), 'local/echo.box...0\nlocal/echo.box...1\n');
    // And socat that of ours, which it cannot bind.
    const refused = await run('socat', [`UNIX-LISTEN:${root}/local/echo.box...1`, 'EXEC:cat']);
    assert.is(refused.status, 1);
    assert.is(await output(run('dcat', ['echo.box...1'], 'ours')), 'ours');
    assert.is(dserve.stderr, '');
  }),
);

testWith(test, ['socat', 'nc'], 'watchers tell of foreign services as of ours', () =>
  withSandbox(async (sandbox) => {
    const { root, start, dir } = sandbox;
    const watcher = start('dls', ['-w']);
    const one = await startSocat(sandbox, `${root}/exported/http/foo.bar...0`);
    assert.is(await watcher.line(), '+ exported/http/foo.bar...0');
    // socat unlinks its socket when it is told to end.
    await one.stop('SIGTERM');
    assert.is(await watcher.line(), '- exported/http/foo.bar...0');
    // Born elsewhere and moved into the tree, it never refuses.
    start('nc', ['-lkU', `${dir}/sock`]);
    await listens(`${dir}/sock`);
    renameSync(`${dir}/sock`, `${root}/exported/http/moved.bar...3`);
    assert.is(await watcher.line(), '+ exported/http/moved.bar...3');
  }),
);

test.run();
