// What decides in the settings of ssh whom to trust: it is honoured as ssh does it, or the login is refused by its name.
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import * as assert from 'uvu/assert';
import { proxyOf } from '@dipus/ssh/connection/proxy';
import { parseSettings } from '@dipus/ssh/settings/settings';
import { expandPath, type TokenValues } from '@dipus/ssh/settings/tokens';
import { suite, type Ended } from './harness.ts';
import { withHost, type Host } from './login.ts';
import { knownLine, makeKey, noSshd } from './sshd.ts';

const test = suite('ssh trust');

// Every keyword that ssh -G prints: honoured; refused where it is set; safe, since what it would allow is not done; or no matter of trust.
const keywords: Record<'honoured' | 'refused' | 'safe' | 'other', string> = {
  honoured: `addressfamily batchmode bindaddress certificatefile checkhostip ciphers connecttimeout globalknownhostsfile hashknownhosts host
    hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent identityfile kbdinteractiveauthentication kexalgorithms macs
    nohostauthenticationforlocalhost numberofpasswordprompts passwordauthentication port preferredauthentications proxycommand proxyjump
    pubkeyacceptedalgorithms pubkeyauthentication requiredrsasize revokedhostkeys stricthostkeychecking user userknownhostsfile
    verifyhostkeydns pkcs11provider challengeresponseauthentication pubkeyacceptedkeytypes hostbasedauthentication gssapiauthentication`,
  refused: 'proxyusefdpass knownhostscommand bindinterface',
  safe: `addkeystoagent casignaturealgorithms clearallforwardings controlmaster controlpath controlpersist dynamicforward enablesshkeysign
    exitonforwardfailure forwardagent forwardx11 forwardx11timeout forwardx11trusted gatewayports gssapidelegatecredentials
    gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey gssapitrustdns hostbasedacceptedalgorithms hostbasedkeytypes localcommand
    localforward permitlocalcommand permitremoteopen remotecommand remoteforward securitykeyprovider sendenv setenv tunnel tunneldevice
    updatehostkeys xauthlocation gssapiclientidentity gssapiserveridentity`,
  other: `canonicaldomains canonicalizepermittedcnames canonicalizefallbacklocal canonicalizehostname canonicalizemaxdots channeltimeout
    compression connectionattempts enableescapecommandline escapechar fingerprinthash forkafterauthentication ignoreunknown ipqos loglevel
    logverbose obscurekeystroketiming rekeylimit requesttty serveralivecountmax serveraliveinterval sessiontype stdinnull
    streamlocalbindmask streamlocalbindunlink syslogfacility tag tcpkeepalive versionaddendum visualhostkey warnweakcrypto`,
};

/** It has logged in. */
function isIn({ stdout, status, stderr }: Ended, about = ''): void {
  assert.equal([stdout.toString().split('\n')[0], status, stderr], ['in', 0, ''], about);
}

function refused({ status, stderr }: Ended, reason: RegExp): void {
  assert.ok(reason.test(stderr.split('\n')[0]!), `${stderr}\nis not like ${reason}`);
  assert.is(status, 1);
}

/** The status of ssh itself with the same settings. */
async function askSsh({ run, envWith }: Host, ...lines: string[]): Promise<number> {
  return (await run('ssh', ['-o', 'BatchMode=yes', 'box', 'true'], '', { env: envWith(...lines) })).status;
}

test('repeated settings count whatever their case', () => {
  const settings = parseSettings('IdentityFile /a\nidentityfile /b\nIDENTITYFILE /c\nPort 22\n');
  assert.equal(settings.all('identityfile'), ['/a', '/b', '/c']);
  assert.is(settings.one('port'), '22');
});

test('home is that of the account, whatever HOME says', () => {
  const values: TokenValues = { host: 'h', original: 'h', port: 22, user: 'u', alias: 'h', jump: '' };
  const before = process.env['HOME'];
  process.env['HOME'] = '/nonexistent';
  try {
    const { homedir } = userInfo();
    assert.equal([expandPath('~/.ssh/id', values), expandPath('%d/x', values)], [`${homedir}/.ssh/id`, `${homedir}/x`]);
  } finally {
    process.env['HOME'] = before;
  }
});

test('hops of a jump are options of ssh', () => {
  const argsOf = (jump: string): string => {
    const proxy = proxyOf(undefined, { host: 'far', original: 'far', port: 22, user: 'u', alias: 'far', jump });
    return proxy!.args.join(' ');
  };
  const table: [jump: string, args: string][] = [
    ['box', '-W [far]:22 -- box'],
    ['kig@box', '-W [far]:22 -l kig -- box'],
    ['box:2222', '-W [far]:22 -p 2222 -- box'],
    ['[::1]:2222', '-W [far]:22 -p 2222 -- ::1'],
    ['kig@[::1]', '-W [far]:22 -l kig -- ::1'],
    ['ssh://kig@box:2222', '-W [far]:22 -l kig -p 2222 -- box'],
    ['a,b@[::1]:3,c', '-J a,b@[::1]:3 -W [far]:22 -- c'],
  ];
  for (const [jump, args] of table) assert.is(argsOf(jump), args);
});

if (noSshd !== undefined) test.skip('logins', noSshd);
else addLogins();

function addLogins(): void {
  test('every keyword of ssh -G has been thought of', () => {
    const known = new Set(Object.values(keywords).flatMap((text) => text.split(/\s+/)));
    const printed = execFileSync('ssh', ['-G', '-F', '/dev/null', 'box'], { encoding: 'utf8' });
    const names = printed.split('\n').map((line) => line.split(' ')[0]!.toLowerCase());
    assert.equal(
      names.filter((name) => name !== '' && !known.has(name)),
      [],
    );
  });

  test(
    'keys that the settings revoke',
    () =>
      withHost(async (host) => {
        const { dir, sshd, logIn, run } = host;
        const own = `${sshd.dir}/host-ed25519.pub`;
        makeKey(`${dir}/other`);
        writeFileSync(`${dir}/hash`, `hash: ${execFileSync('ssh-keygen', ['-lf', own], { encoding: 'utf8' }).split(' ')[1]}\n`);
        writeFileSync(`${dir}/sha1`, `sha1: ${readFileSync(own, 'utf8')}`);
        for (const [name, spec] of Object.entries({ 'krl-key': own, 'krl-sha1': `${dir}/sha1`, 'krl-sha256': `${dir}/hash` }))
          assert.is((await run('ssh-keygen', ['-kf', `${dir}/${name}`, spec])).status, 0);
        assert.is((await run('ssh-keygen', ['-kf', `${dir}/krl-other`, `${dir}/other.pub`])).status, 0);
        writeFileSync(`${dir}/list`, `# lost\n${readFileSync(`${dir}/other.pub`, 'utf8')}${readFileSync(own, 'utf8')}`);
        writeFileSync(`${dir}/cut`, readFileSync(`${dir}/krl-other`).subarray(0, 70));
        for (const name of ['krl-key', 'krl-sha1', 'krl-sha256', 'list']) {
          refused(
            await logIn([`RevokedHostKeys ${dir}/${name}`]),
            /trust ssh:\/\/box: ITS HOST KEY IS REVOKED \(\S+\): ED25519 key SHA256:/,
          );
          assert.is(await askSsh(host, `RevokedHostKeys ${dir}/${name}`), 255, name);
        }
        for (const [name, reason] of [
          ['missing', /read \S+missing: no such file or directory$/],
          ['cut', /read \S+cut: it is not a list of revoked keys of a known format$/],
        ] as const) {
          refused(await logIn([`RevokedHostKeys ${dir}/${name}`]), reason);
          assert.is(await askSsh(host, `RevokedHostKeys ${dir}/${name}`), 255, name);
        }
        for (const name of [`${dir}/krl-other`, `${dir}/other.pub`, 'none']) isIn(await logIn([`RevokedHostKeys ${name}`]), name);
        // Revoked is revoked, on this host too.
        refused(await logIn([`RevokedHostKeys ${dir}/list`, 'NoHostAuthenticationForLocalhost yes']), /REVOKED/);
      }),
    120_000,
  );

  test(
    'what cannot be honoured is refused by its name',
    () =>
      withHost(async ({ logIn }) => {
        for (const line of ['KnownHostsCommand /bin/false', 'ProxyUseFdpass yes', 'BindInterface lo']) {
          const [name] = line.split(' ');
          refused(await logIn([line]), new RegExp(`read the ssh settings for ssh://box: ${name} is not supported$`));
        }
        isIn(await logIn(['KnownHostsCommand none']));
      }),
    90_000,
  );

  test(
    'a key that is known without the port, or by its address',
    () =>
      withHost(async (host) => {
        const { dir, sshd, known, logIn } = host;
        const own = `${sshd.dir}/host-ed25519.pub`;
        makeKey(`${dir}/other`);
        writeFileSync(known, knownLine('127.0.0.1', own));
        isIn(await logIn(['StrictHostKeyChecking yes']));
        assert.is(await askSsh(host, 'StrictHostKeyChecking yes'), 0);
        // It keeps nobody out.
        writeFileSync(known, knownLine('127.0.0.1', `${dir}/other.pub`));
        refused(await logIn(['StrictHostKeyChecking yes']), /its host key is not known/);
        refused(await logIn(['VerifyHostKeyDNS yes', 'StrictHostKeyChecking yes']), /not known: .*; VerifyHostKeyDNS is not supported$/);
        writeFileSync(known, `${sshd.knownHosts}${knownLine('127.0.0.1', `${dir}/other.pub`)}`);
        isIn(await logIn([]));
        writeFileSync(known, `${knownLine('stereo', own)}${knownLine(`[127.0.0.1]:${sshd.port}`, `${dir}/other.pub`)}`);
        isIn(await logIn(['HostKeyAlias stereo', 'CheckHostIP no']));
        refused(await logIn(['HostKeyAlias stereo', 'CheckHostIP yes']), /ITS HOST KEY IS NOT THE ONE OF 127\.0\.0\.1: it shows/);
        rmSync(known);
        refused(await logIn([]), /not known/);
        isIn(await logIn(['NoHostAuthenticationForLocalhost yes']));
        assert.is(await askSsh(host, 'NoHostAuthenticationForLocalhost yes'), 0);
      }),
    120_000,
  );

  test(
    'keys and algorithms that the settings leave out',
    () =>
      withHost(
        async ({ dir, sshd, known, key, logIn }) => {
          refused(
            await logIn(['PubkeyAcceptedAlgorithms rsa-sha2-512']),
            /permission denied .*; not usable \S+own: PubkeyAcceptedAlgorithms does not have its type/,
          );
          isIn(await logIn(['PubkeyAcceptedAlgorithms +ssh-rsa']));
          makeKey(`${dir}/rsa`, 'rsa', '', ['-b', '2048']);
          const files = [`IdentityFile ${dir}/rsa`, `IdentityFile ${key}`];
          writeFileSync(known, knownLine('*', `${sshd.dir}/host-ed25519.pub`));
          isIn(await logIn(['RequiredRSASize 3072', ...files]));
          refused(await logIn(['RequiredRSASize 3072', files[0]!]), /not usable \S+rsa: its 2048 bits are fewer than 3072/);
          writeFileSync(known, knownLine('*', `${sshd.dir}/host-rsa.pub`));
          refused(await logIn(['RequiredRSASize 8192']), /its RSA key has \d+ bits, fewer than 8192$/);
        },
        { hostKeys: ['ed25519', 'rsa'] },
      ),
    120_000,
  );
}

test.run();
