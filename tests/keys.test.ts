// Keys: how they are born, which files are believed, and what a key that an exporter shows is worth.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate, type KeyObject, type KeyPairKeyObjectResult } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import { createServer, type TLSSocket } from 'node:tls';
import * as assert from 'uvu/assert';
import type { AddressInfo } from 'node:net';
import type { HostPort } from '@dipus/proto/uri';
import { Failure } from '@dipus/proto/failure';
import { authorize } from '@dipus/proto/grant';
import { formatPin, type Pin } from '@dipus/proto/pin';
import { appendGrant, readAuthorizedPeers, remarksOn, usersOfExporter, watchAuthorizedPeers } from '@dipus/seps/authorized-peers';
import { certificateOf, pinOfKey } from '@dipus/seps/certificate';
import { configFolder, type ConfigFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { peersOf, readKnownPeers, rememberPeer } from '@dipus/seps/known-peers';
import { notAuthorized, trustExporter, type KeyPrompter, type TrustOptions } from '@dipus/seps/trust-exporter';
import { readTrust } from '@dipus/tree/trust';
import { eventually, has, suite, withSandbox, type Sandbox } from './harness.ts';
import { ann, mallory, testAsRoot } from './users.ts';

const test = suite('keys');
const [one, two, three] = [1, 2, 3].map((byte) => formatPin(Buffer.alloc(32, byte))) as [Pin, Pin, Pin];

/** The folder of a user with this number; no file of root is special for others. */
function folderOf({ dir }: Sandbox, uid: number = process.geteuid!()): ConfigFolder {
  return configFolder({ DIPUS_CONFIG: `${dir}/config` }, { ...readTrust({}), uid });
}

function withFolder(body: (folder: ConfigFolder, sandbox: Sandbox) => Promise<void> | void): Promise<void> {
  return withSandbox(async (sandbox) => {
    mkdirSync(`${sandbox.dir}/config`, { mode: 0o700 });
    await body(folderOf(sandbox), sandbox);
  });
}

function failureOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.instance(error, Failure);
    return (error as Failure).message;
  }
  return 'nothing';
}

const silent = { warn: (): void => {} };
const mode = (path: string): number => statSync(path).mode & 0o777;

test('where the files are', () => {
  const at = (environment: NodeJS.ProcessEnv, uid: number): string => configFolder(environment, { ...readTrust({}), uid }).dir;
  assert.is(at({ DIPUS_CONFIG: '/a', XDG_CONFIG_HOME: '/b' }, ann), '/a');
  assert.is(at({ XDG_CONFIG_HOME: '/b' }, ann), '/b/dipus');
  assert.match(at({ XDG_CONFIG_HOME: 'b' }, ann), /^\/.*\/\.config\/dipus$/);
  assert.is(at({ XDG_CONFIG_HOME: '/b' }, 0), '/etc/dipus');
  assert.is(at({ DIPUS_CONFIG: '/a' }, 0), '/a');
});

test('a key is born 0600 in a folder of its own, once', () =>
  withSandbox(async (sandbox) => {
    const folder = folderOf(sandbox);
    const before = process.umask(0o277);
    try {
      const first = loadIdentity(folder);
      assert.equal(loadIdentity(folder).pin, first.pin);
    } finally {
      process.umask(before);
    }
    assert.is(mode(`${folder.dir}/key.pem`), 0o600);
    assert.equal(readdirSync(folder.dir), ['key.pem']);
  }));

test('an ordinary user gets a folder that is closed', () =>
  withSandbox((sandbox) => {
    const { dir, dirMode } = folderOf(sandbox, ann);
    assert.is(dirMode, 0o700);
    assert.is(folderOf(sandbox, 0).dirMode, 0o755);
    assert.ok(dir.endsWith('/config'));
    return Promise.resolve();
  }));

test('keys of each kind that TLS 1.3 signs with are taken, others refused', () =>
  withFolder((folder) => {
    const write = (pem: string): void => writeFileSync(`${folder.dir}/key.pem`, pem, { mode: 0o600 });
    const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();
    const curve = (namedCurve: string): KeyPairKeyObjectResult => generateKeyPairSync('ec', { namedCurve });
    const rsa = (modulusLength: number): KeyPairKeyObjectResult => generateKeyPairSync('rsa', { modulusLength });
    const good = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed448'), rsa(2048), curve('prime256v1'), curve('secp384r1')];
    for (const { privateKey, publicKey } of good) {
      write(pemOf(privateKey));
      const { pin, cert } = loadIdentity(folder);
      assert.is(pin, pinOfKey(publicKey));
      const read = new X509Certificate(cert);
      assert.ok(read.verify(read.publicKey));
      assert.is(read.subject, 'CN=dipus');
      assert.is(pinOfKey(read.publicKey), pin);
      assert.is(Date.parse(read.validFrom), Date.parse('2020-01-01T00:00:00Z'));
      assert.match(read.validTo, /9999/);
    }
    const use = (text: string): string => {
      write(text);
      return failureOf(() => loadIdentity(folder)).replace(`${folder.dir}/`, '');
    };
    assert.is(use(pemOf(generateKeyPairSync('x25519').privateKey)), 'cannot use key.pem: a key of a kind that cannot sign in TLS 1.3');
    assert.match(use(pemOf(curve('secp256k1').privateKey)), /of a kind that cannot/);
    assert.match(use(pemOf(rsa(1024).privateKey)), /of a kind that cannot/);
    assert.is(use('nonsense'), 'cannot read key.pem: no private key');
    assert.is(use(''), 'cannot read key.pem: no private key');
    const encrypted = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes256', passphrase: 'x' });
    assert.match(use(encrypted.toString()), /it is encrypted/);
  }));

if (has('openssl')) {
  test('openssl verifies the certificate and computes the same pin', () =>
    withFolder((folder) => {
      // Serial numbers with a high bit, and with zeros in front, among others.
      for (let round = 0; round < 8; round++) {
        rmSync(`${folder.dir}/key.pem`, { force: true });
        const { cert, pin } = loadIdentity(folder);
        const file = `${folder.dir}/cert.pem`;
        writeFileSync(file, cert);
        assert.match(execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', file, file], { encoding: 'utf8' }), /: OK/);
        const spki = execFileSync('sh', [
          '-c',
          `openssl x509 -in ${file} -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256`,
        ]);
        assert.is(formatPin(Buffer.from(spki.toString().trim().split(' ').at(-1)!, 'hex')), pin);
      }
    }));
} else test.skip('openssl verifies the certificate', 'there is no openssl');

if (has('curl')) {
  test('curl takes the certificate, shows it, and checks the pin', () =>
    withFolder(async (folder, { run }) => {
      const { key, cert, pin } = loadIdentity(folder);
      const answer = (socket: TLSSocket): void => {
        const shown = pinOfKey(socket.getPeerX509Certificate()!.publicKey);
        socket.once('data', () => socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${shown.length}\r\n\r\n${shown}`));
      };
      const server = createServer({ key, cert, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false }, answer);
      await once(server.on('tlsClientError', () => {}).listen(0, '127.0.0.1'), 'listening');
      const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const file = (await run('dkey', ['--cert'])).stdout.toString().trim();
      assert.is(file, `${folder.dir}/cert.pem`);
      const own = ['--cert', file, '--key', `${folder.dir}/key.pem`];
      assert.is((await run('curl', ['-skm', '20', '--pinnedpubkey', pin, ...own, url])).stdout.toString(), pin);
      assert.is((await run('curl', ['-skm', '20', '--pinnedpubkey', one, ...own, url])).status, 90);
      server.close();
    }));
} else test.skip('curl takes the certificate', 'there is no curl');

test('files that others could write are refused, each with its sentence', () =>
  withFolder((folder, { dir }) => {
    const path = `${folder.dir}/authorized_peers`;
    const reason = (): string =>
      failureOf(() => readAuthorizedPeers(folder, silent))
        .replace(`cannot read ${folder.dir}`, '')
        .replace(/^\/authorized_peers/, '');
    assert.is(reason(), 'nothing');
    writeFileSync(path, `${one} laptop\n`);
    assert.is(reason(), 'nothing');
    chmodSync(path, 0o602);
    assert.is(reason(), ': writable by everybody');
    rmSync(path);
    writeFileSync(`${dir}/elsewhere`, '');
    symlinkSync(`${dir}/elsewhere`, path);
    assert.is(reason(), ': a symbolic link');
    assert.match(
      failureOf(() => appendGrant(folder, { pin: one, name: 'x', options: [] })),
      /a symbolic link/,
    );
    rmSync(path);
    mkdirSync(path);
    assert.is(reason(), ': not a file');
    rmSync(path, { recursive: true });
    execFileSync('mkfifo', [path]);
    assert.is(reason(), ': not a file');
    rmSync(path);
    chmodSync(folder.dir, 0o1777);
    assert.is(reason(), ': writable by everybody');
    chmodSync(folder.dir, 0o700);
    renameSync(folder.dir, `${dir}/real`);
    symlinkSync(`${dir}/real`, folder.dir);
    assert.is(reason(), ': a symbolic link');
    rmSync(folder.dir);
    writeFileSync(folder.dir, '');
    assert.is(reason(), ': not a directory');
  }));

test('a key that others can read is refused', () =>
  withFolder((folder) => {
    loadIdentity(folder);
    for (const bits of [0o640, 0o604]) {
      chmodSync(`${folder.dir}/key.pem`, bits);
      assert.match(
        failureOf(() => loadIdentity(folder)),
        /key\.pem: open to others than its owner/,
      );
    }
    chmodSync(`${folder.dir}/key.pem`, 0o400);
    assert.ok(loadIdentity(folder));
  }));

testAsRoot(test, "files of other users, and of other users' groups, are refused", () =>
  withFolder((folder, sandbox) => {
    const path = `${folder.dir}/authorized_peers`;
    const owned = (uid: number, gid: number, bits: number): string => {
      writeFileSync(path, `${one} laptop\n`);
      chownSync(path, uid, gid);
      chmodSync(path, bits);
      return failureOf(() => readAuthorizedPeers(folderOf(sandbox, ann), silent)).replace(/.*authorized_peers: /, '');
    };
    assert.is(owned(ann, 0, 0o644), 'nothing');
    assert.is(owned(0, 0, 0o644), 'nothing');
    assert.is(owned(mallory, 0, 0o644), `owned by ${mallory}, not by you or root`);
    assert.match(owned(ann, 29, 0o664), /^writable by the group \w+$/);
    chownSync(folder.dir, mallory, mallory);
    assert.match(owned(ann, 0, 0o644), /config: owned by 12345, not by you or root$/);
  }),
);

test('appended lines begin on a line of their own, and are not written twice', () =>
  withFolder((folder) => {
    const path = `${folder.dir}/authorized_peers`;
    appendGrant(folder, { pin: one, name: 'laptop', options: ['service=a b'] });
    assert.is(mode(path), folder.openMode);
    appendGrant(folder, { pin: one, name: 'laptop', options: ['service=a b'] });
    writeFileSync(path, readFileSync(path, 'utf8').trimEnd());
    appendGrant(folder, { pin: two, name: 'laptop', options: [] });
    appendGrant(folder, { pin: one, name: 'other', options: [] });
    assert.is(readFileSync(path, 'utf8'), `${one} laptop "service=a b"\n${two} laptop\n${one} other\n`);
    const peers = readAuthorizedPeers(folder, silent);
    assert.equal(remarksOn(peers, { pin: two, name: 'laptop', options: [] }), [
      'line 1 is for another key of laptop: remove it if that one is no longer used',
    ]);
    const decides = 'line 1 is about the same key and decides: remove it if the new line is to hold';
    assert.equal(remarksOn(peers, { pin: one, name: 'other', options: [] }), [decides]);
    appendGrant(folder, { pin: one, name: 'third', options: [] });
    assert.equal(remarksOn(readAuthorizedPeers(folder, silent), { pin: one, name: 'third', options: [] }), [decides]);
  }));

test('which users an exporter can act as', () => {
  const ids: Record<string, number> = { kig: 1000, root: 0, toor: 0 };
  const own = usersOfExporter({ uid: 1000, name: 'kig' }, (name) => ids[name]);
  const root = usersOfExporter({ uid: 0, name: 'root' }, (name) => ids[name]);
  assert.equal([own(undefined), own('kig')], [undefined, undefined]);
  assert.is(own('bob'), 'user=bob needs an exporter that root has started');
  assert.equal([root('kig'), root('root')], [undefined, undefined]);
  assert.is(root(undefined), 'user= is missing, and root has started the exporter');
  assert.is(root('bob'), 'user=bob: there is no such user');
  assert.is(root('12345'), 'user=12345: there is no such user');
  assert.is(root('toor'), 'user=toor: it is root by another name');
});

test('authorized_peers is read again at each change; while it cannot be read it authorises nobody', () =>
  withFolder(async (folder) => {
    const path = `${folder.dir}/authorized_peers`;
    const told: string[] = [];
    let judged = 0;
    const watched = watchAuthorizedPeers(folder, { warn: ({ message }) => told.push(message), judgeAgain: () => judged++ });
    const may = (pin: Pin = one): boolean => 'pin' in authorize(watched.peers, { pin, address: '::1', now: Date.now() });
    try {
      assert.not.ok(may());
      writeFileSync(path, `${one} laptop\n`);
      await eventually('the new file', () => may());
      writeFileSync(`${path}.new`, `${two} studio\n`);
      renameSync(`${path}.new`, path);
      await eventually('the file that replaced it', () => may(two) && !may());
      chmodSync(path, 0o666);
      await eventually('nobody', () => !may(two));
      assert.match(told.join('\n'), /^cannot read .*: writable by everybody$/);
      chmodSync(path, 0o600);
      await eventually('the file that is good again', () => may(two));
      const end = new Date(Date.now() + 1500).toISOString();
      writeFileSync(path, `${two} studio until=${end}\n${one} laptop usr=x\n`);
      await eventually('a fault', () => told.length === 2);
      assert.match(told[1]!, /line 2: unknown option usr: the line grants nothing$/);
      assert.ok(may(two));
      const before = judged;
      await eventually('the end of a line', () => judged > before);
      assert.not.ok(may(two));
      rmSync(path);
      await eventually('nobody', () => watched.peers.lines.length === 0);
      // Changes without a pause are read meanwhile.
      for (let round = 0; !may(three); round++) {
        assert.ok(round < 1000);
        writeFileSync(`${path}.new`, `${three} box\n# ${round}\n`);
        renameSync(`${path}.new`, path);
        await new Promise((done) => setTimeout(done, 20));
      }
    } finally {
      watched.close();
    }
  }));

test('a file with a marker that cannot be read authorises nobody', () =>
  withFolder((folder) => {
    writeFileSync(`${folder.dir}/authorized_peers`, `${one} laptop\n@revoked nonsense\n`);
    assert.match(
      failureOf(() => readAuthorizedPeers(folder, silent)),
      /line 2: @revoked without a pin: nobody is authorised until that is mended$/,
    );
    writeFileSync(`${folder.dir}/known_peers`, `encode ${one}\n@revokd ${two}\n`);
    assert.match(
      failureOf(() => readKnownPeers(folder, () => {})),
      /line 2: unknown marker @revokd: nobody is trusted until that is mended$/,
    );
  }));

interface Told {
  readonly lines: string[];
  readonly message: string;
  readonly hint: string | undefined;
}

/** What trustExporter says, with a person who gives this answer, or none. */
async function trusted(
  folder: ConfigFolder,
  pin: Pin,
  target: HostPort,
  answer?: boolean,
  given: Pick<TrustOptions, 'announced' | 'isFromList'> = {},
): Promise<Told> {
  const lines: string[] = [];
  const person: KeyPrompter = {
    tell: (line) => void lines.push(line),
    confirm: async (question) => {
      lines.push(question);
      return answer === true;
    },
  };
  const options = {
    folder,
    prompter: () => (answer === undefined ? undefined : person),
    warn: (fault: Failure) => void lines.push(fault.message),
    stop: new AbortController().signal,
    ...given,
  };
  try {
    const host = await trustExporter(target, pin, options);
    return { lines, message: host === target.host ? 'trusted' : `trusted as ${host}`, hint: undefined };
  } catch (error) {
    assert.instance(error, Failure);
    return { lines, message: (error as Failure).message, hint: (error as Failure).hint };
  }
}

test('a key that is not known: refused without a person, asked with one, remembered after a yes', () =>
  withFolder(async (folder) => {
    const file = `${folder.dir}/known_peers`;
    const refusal = `cannot trust seps://encode: its key is not known: ${one}`;
    assert.equal(await trusted(folder, one, { host: 'encode' }), {
      lines: [],
      message: refusal,
      hint: `djoin encode pairs the two; or add \`encode ${one}\` to ${file}`,
    });
    const asked = [`The exporter encode is not known. It shows the key ${one}.`, 'Is that its key, and shall it be remembered?'];
    const no = await trusted(folder, one, { host: 'encode' }, false);
    assert.equal([no.lines, no.message], [asked, refusal]);
    assert.equal(
      peersOf(
        readKnownPeers(folder, () => {}),
        { host: 'encode' },
      ),
      [],
    );
    const yes = await trusted(folder, one, { host: 'Encode', port: 7370 }, true);
    assert.equal([yes.lines, yes.message], [asked, 'trusted']);
    assert.is(readFileSync(file, 'utf8'), `encode ${one}\n`);
    assert.is(mode(file), folder.openMode);
    assert.equal((await trusted(folder, one, { host: 'encode' })).message, 'trusted');
    // The same key by another name, and another port of the same host.
    const other = await trusted(folder, one, { host: 'encode', port: 7371 }, false);
    assert.is(other.lines[1], 'That is the key of encode.');
    assert.is(other.message, `cannot trust seps://encode:7371: its key is not known: ${one}`);
    assert.is(other.hint, `that is the key of encode; if this is the same host, add \`encode:7371 ${one}\` to ${file}`);
    const six = await trusted(folder, two, { host: 'FE80::1', port: 1 });
    assert.is(six.message, `cannot trust seps://[fe80::1]:1: its key is not known: ${two}`);
  }));

test('what mDNS announces is told to a person, and proves nothing', () =>
  withFolder(async (folder) => {
    const asked = async (pin: Pin | undefined): Promise<string> =>
      (await trusted(folder, one, { host: 'encode.local' }, false, { announced: async () => pin })).lines[0]!;
    const shown = `The exporter encode.local is not known. It shows the key ${one}`;
    assert.is(await asked(one), `${shown} (mDNS announces the same; that proves nothing).`);
    assert.is(await asked(two), `${shown} (mDNS announces another one: ${two}).`);
    assert.is(await asked(undefined), `${shown}.`);
  }));

test('a host from a list is the one that is known for its key, or none', () =>
  withFolder(async (folder) => {
    const list = { isFromList: true };
    const refusal = 'its key is not known, and nobody is asked; djoin box.local pairs the two';
    assert.is((await trusted(folder, one, { host: 'box.local' }, true, list)).message, `cannot trust seps://box.local: ${refusal}`);
    writeFileSync(`${folder.dir}/known_peers`, `encode:7371,10.0.0.7 ${one} studio\nbox.local ${two}\n`, { mode: 0o600 });
    assert.is((await trusted(folder, one, { host: 'other.local' }, undefined, list)).message, 'trusted as encode');
    assert.is((await trusted(folder, two, { host: 'box.local' }, undefined, list)).message, 'trusted');
    // Whoever has a key of their own is not somebody else by their name.
    assert.match((await trusted(folder, one, { host: 'box.local' }, true, list)).message, /ITS KEY HAS CHANGED/);
    writeFileSync(`${folder.dir}/known_peers`, `encode ${one}\n@revoked ${one}\n`);
    assert.match((await trusted(folder, one, { host: 'other.local' }, undefined, list)).message, /ITS KEY IS REVOKED/);
  }));

test('a key that has changed, a second one, and one that is revoked', () =>
  withFolder(async (folder) => {
    const file = `${folder.dir}/known_peers`;
    writeFileSync(file, `# mine\nencode ${one}\n`, { mode: 0o600 });
    assert.equal(await trusted(folder, two, { host: 'encode' }, true), {
      lines: [],
      message:
        'cannot trust seps://encode: ITS KEY HAS CHANGED, or somebody else answers: ' +
        `it shows ${two} instead of the known ${one} (${file}:2)`,
      hint: 'if its administrator confirms the new key, remove that line and pair again: djoin encode',
    });
    rememberPeer(folder, { host: 'encode' }, { pin: two, name: 'studio' });
    assert.is(readFileSync(file, 'utf8'), `# mine\nencode ${one}\nencode ${two} studio\n`);
    for (const pin of [one, two]) assert.is((await trusted(folder, pin, { host: 'encode' })).message, 'trusted');
    writeFileSync(file, `encode ${one}\n@revoked ${one}\nother ${two}\n`);
    for (const host of ['encode', 'other', 'unknown']) {
      const { message, lines } = await trusted(folder, one, { host }, true);
      assert.equal([message, lines], [`cannot trust seps://${host}: ITS KEY IS REVOKED (${file}:2)`, []]);
    }
    assert.match((await trusted(folder, three, { host: 'encode' }, true)).message, /KEY HAS CHANGED/);
  }));

test('an answer that cannot be remembered is told, and counts', () =>
  withFolder(async (folder) => {
    const path = `${folder.dir}/known_peers`;
    const written = await trusted({ ...folder, dir: `${folder.dir}/none/config` }, one, { host: 'encode' }, true);
    assert.is(written.message, 'trusted');
    writeFileSync(path, `encode\nother ${one} a b\n`, { mode: 0o600 });
    const { lines } = await trusted(folder, one, { host: 'encode' });
    assert.equal(lines, [
      `cannot read ${path}: line 1: it is not HOST PIN [NAME]`,
      `cannot read ${path}: line 2: nothing stands behind the name, but b`,
    ]);
  }));

test('an exporter that does not know our key', () => {
  const { message, hint } = notAuthorized({ host: 'encode' }, { pin: one, name: 'laptop' });
  assert.is(message, `cannot connect to seps://encode: it does not know this key (laptop's): ${one}`);
  assert.is(hint, `on encode: dinvite laptop, here: djoin encode; or add \`${one} laptop\` to its authorized_peers`);
});

test('the certificate of a key has room for nothing but the key', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const text = certificateOf(privateKey)!;
  const size = Buffer.from(text.replace(/-----.*-----/g, ''), 'base64').length;
  assert.ok(size > 270 && size < 300, String(size));
});

test.run();
