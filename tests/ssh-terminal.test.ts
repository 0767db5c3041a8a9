// What a login asks on the terminal: host keys, passphrases, passwords, questions of the server.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { has, suite } from './harness.ts';
import { authorize, driver, withHost, type Host } from './login.ts';
import { makeKey, noSshd, type SshdOptions } from './sshd.ts';
import { withScreen, type Screen } from './tmux.ts';
import { withAccount } from './users.ts';

const test = suite('ssh login on a terminal');

interface Session extends Omit<Host, 'logIn'> {
  readonly screen: Screen;
  /** Types the command that logs in. */
  logIn(...args: string[]): Promise<void>;
}

/** A shell in a terminal, where ssh has these settings; `stty -g` is the same before and after. */
function atTerminal(lines: (host: Host) => string[], body: (session: Session) => Promise<void>, options: SshdOptions = {}): Promise<void> {
  return withHost(async (host) => {
    await withScreen(host, host.envWith(...lines(host)), async (screen) => {
      await screen.type('stty -g > before', 'Enter');
      const logIn: Session['logIn'] = async (...args) => {
        // What stood there before must not be taken for the answer.
        await screen.type('clear', 'Enter');
        await screen.shows(/^here> \s*$/);
        await screen.type(`${process.execPath} ${driver} ${args.join(' ')} < /dev/null | cat; echo end''ed`, 'Enter');
      };
      await body({ ...host, screen, logIn });
      await screen.type("clear; stty -g > after; cmp before after && echo rest''ored", 'Enter');
      await screen.shows(/^restored$/m);
    });
  }, options);
}

if (noSshd !== undefined) test.skip('everything', noSshd);
else if (!has('tmux')) test.skip('everything', 'there is no tmux');
else addTests();

function addTests(): void {
  test(
    'an unknown host key is shown, asked for and remembered',
    () =>
      atTerminal(
        () => [],
        async ({ screen, logIn, sshd, known }) => {
          rmSync(known);
          const [, fingerprint = '?'] = execFileSync('ssh-keygen', ['-lf', `${sshd.dir}/host-ed25519.pub`], { encoding: 'utf8' }).split(
            ' ',
          );
          await logIn('ssh://box');
          await screen.shows(/^Is that its key, and shall it be remembered\? \(yes\/no\) ?$/m);
          assert.ok(
            (await screen.read()).includes(`The host [127.0.0.1]:${sshd.port} is not known. It shows the ED25519 key ${fingerprint}.`),
          );
          await screen.type('perhaps', 'Enter');
          await screen.shows(/^Type yes or no: ?$/m);
          await screen.type('no', 'Enter');
          await screen.shows(/^login: cannot trust ssh:\/\/box: its host key is not known: .*\n.*hint(?:.|\n)*^ended$/m);
          assert.not.ok(existsSync(known));
          await logIn('ssh://box');
          await screen.shows(/\(yes\/no\) ?$/m);
          // What was mistyped can be taken back.
          await screen.type('no', 'BSpace', 'BSpace');
          await screen.type('xyz', 'C-u');
          await screen.type('yes', 'Enter');
          await screen.shows(/^in$(?:.|\n)*^ended$/m);
          assert.is(readFileSync(known, 'utf8'), sshd.knownHosts);
          await logIn('ssh://box');
          await screen.shows(/^in$(?:.|\n)*^ended$/m);
          assert.not.match(await screen.read(), /not known/);
        },
      ),
    120_000,
  );

  test(
    'the passphrase of a key, in every format',
    () =>
      atTerminal(
        ({ dir }) => [`IdentityFile ${dir}/keys/locked`],
        async (session) => {
          const { screen, logIn, dir } = session;
          const file = `${dir}/keys/locked`;
          const kinds: [type: string, extra: string[]][] = [
            ['ed25519', []],
            ['rsa', ['-m', 'PEM']],
            ['ecdsa', ['-m', 'PKCS8']],
            ['ed25519', ['-Z', 'aes256-gcm@openssh.com']],
          ];
          for (const [at, [type, extra]] of kinds.entries()) {
            for (const path of [file, `${file}.pub`]) rmSync(path, { force: true });
            authorize(session, makeKey(file, type, 'open sesame', extra));
            if (at === 1) rmSync(`${file}.pub`);
            await logIn('ssh://box');
            await screen.shows(/^Passphrase of \S+\/keys\/locked: ?$/m);
            await screen.type('wrong', 'Enter');
            // Between two questions the terminal shows what is typed: wait for the second.
            await screen.shows(/^That is not its passphrase\.\nPassphrase of \S+\/keys\/locked: ?$/m);
            await screen.type('open sesame', 'Enter');
            await screen.shows(/^in$(?:.|\n)*^ended$/m);
            assert.not.match(await screen.read(), /wrong|sesame/);
          }
          // Nobody is asked for the passphrase of a key that the server would not take.
          writeFileSync(`${session.sshd.dir}/authorized_keys`, '');
          await logIn('ssh://box');
          await screen.shows(/permission denied for root(?:.|\n)*^ended$/m);
          assert.not.match(await screen.read(), /Passphrase/);
        },
        { config: ['PasswordAuthentication no'] },
      ),
    120_000,
  );

  test(
    '^C at a question ends the program as it ends others',
    () =>
      atTerminal(
        () => [],
        async ({ screen, known }) => {
          rmSync(known);
          // A shell that runs a list of commands, or a loop, ends it there.
          await screen.type(`clear; for n in 1 2 3; do ${process.execPath} ${driver} ssh://box; done; echo o''ver`, 'Enter');
          await screen.shows(/\(yes\/no\) ?$/m);
          await screen.type('', 'C-c');
          await screen.shows(/interrupted\s+here> \s*$/m);
          assert.is((await screen.read()).match(/\(yes\/no\)/g)?.length, 1);
          await screen.type('echo status $?', 'Enter');
          await screen.shows(/^status 130$/m);
        },
      ),
    60_000,
  );

  test(
    'a password, three times',
    () =>
      withUser(async (user) =>
        atTerminal(
          () => [`User ${user}`, 'IdentityFile none'],
          async ({ screen, logIn }) => {
            const prompt = new RegExp(`^Password of ${user} on 127\\.0\\.0\\.1: ?$`, 'm');
            const again = (count: number): RegExp =>
              new RegExp(`(?:^Permission denied\\.\\nPassword of \\S+ on 127\\.0\\.0\\.1: ?\\n){${count}}\\s*$`, 'm');
            await logIn('ssh://box');
            await screen.shows(prompt);
            await screen.type('wrong', 'Enter');
            await screen.shows(again(1));
            await screen.type('open sesame', 'Enter');
            await screen.shows(/^in$(?:.|\n)*^ended$/m);
            assert.not.match(await screen.read(), /wrong|sesame/);
            await logIn('ssh://box');
            await screen.shows(prompt);
            for (let denials = 1; denials <= 3; denials++) {
              await screen.type(`wrong${denials}`, 'Enter');
              if (denials < 3) await screen.shows(again(denials));
            }
            await screen.shows(/permission denied for .*; the server takes .*; tried password$(?:.|\n)*^ended$/m);
          },
          { config: ['KbdInteractiveAuthentication no'] },
        ),
      ),
    120_000,
  );

  test(
    'a key and a password, where the server wants both',
    () =>
      withUser(async (user) =>
        atTerminal(
          () => [`User ${user}`],
          async ({ screen, logIn }) => {
            await logIn('-v', 'ssh://box');
            await screen.shows(/keys\/own \(ssh-ed25519\): partial$(?:.|\n)*^Password of \S+ on 127\.0\.0\.1: ?$/m);
            await screen.type('open sesame', 'Enter');
            await screen.shows(/^in$(?:.|\n)*^ended$/m);
          },
          { config: ['AuthenticationMethods publickey,password', 'KbdInteractiveAuthentication no'] },
        ),
      ),
    120_000,
  );

  if (existsSync('/etc/pam.d/sshd')) {
    test(
      'questions of the server, after its banner',
      () =>
        withUser(async (user) =>
          atTerminal(
            () => [`User ${user}`, 'IdentityFile none'],
            async ({ screen, logIn }) => {
              await logIn('ssh://box');
              await screen.shows(new RegExp(`^Be .*kind\\.\\n(?:.|\\n)*^\\(${user}@127\\.0\\.0\\.1\\) Password: ?$`, 'm'));
              await screen.type('open sesame', 'Enter');
              await screen.shows(/^in$(?:.|\n)*^ended$/m);
              assert.not.match(await screen.read(), /sesame/);
            },
            { config: ['UsePAM yes', 'PasswordAuthentication no', 'KbdInteractiveAuthentication yes'], banner: 'Be \u001b[31mkind.\n' },
          ),
        ),
      120_000,
    );
  } else test.skip('questions of the server, after its banner', 'sshd has no PAM here');
}

/** A user of the system with the password `open sesame`, removed again. */
function withUser(body: (name: string) => Promise<void>): Promise<void> {
  return withAccount([], async (name) => {
    execFileSync('chpasswd', { input: `${name}:open sesame\n` });
    await body(name);
  });
}

test.run();
