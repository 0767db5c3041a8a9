// dcat at a real terminal, with a service that has one of its own.
import { existsSync, readFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { eventually, has, suite, withSandbox } from './harness.ts';
import { withScreen } from './tmux.ts';

const test = suite('dcat-terminal');

if (has('tmux')) {
  test('~. behind a newline leaves a program that takes every key; the terminal is as it was', async () => {
    await withSandbox(async (sandbox) => {
      // It shows what it gets, and ends of nothing that is typed.
      const service = sandbox.start('dserve', ['--pty', 'stty raw -echo; echo "pid $$"; exec cat -v', 'raw']);
      await service.line();
      await withScreen(sandbox, sandbox.env, async (screen) => {
        await screen.type('stty -g > before; dcat raw; echo "left $?"; stty -g > after', 'Enter');
        await screen.shows(/pid \d+/);
        const pid = Number(/pid (\d+)/.exec(await screen.read())![1]);
        // Not at the beginning of a line; a ~ of its own; another letter behind one.
        await screen.type('a~.b', 'Enter');
        await screen.shows(/a~\.b\^M/);
        await screen.type('~~c', 'Enter');
        await screen.shows(/\^M~c\^M/);
        await screen.type('~d', 'C-c');
        await screen.shows(/\^M~d\^C/);
        await screen.type('', 'Enter');
        await screen.shows(/\^C\^M/);
        await screen.type('~.');
        await screen.shows(/left 125/);
        await screen.shows(/dcat: cannot stay connected to .*raw\.box\.\.\.0: ended by ~\. at the terminal/);
        await eventually('the settings', () => existsSync(`${sandbox.dir}/after`) && readFileSync(`${sandbox.dir}/after`).length > 0);
        assert.is(readFileSync(`${sandbox.dir}/after`, 'utf8'), readFileSync(`${sandbox.dir}/before`, 'utf8'));
        await eventually('the end of the program', () => !existsSync(`/proc/${pid}`));
      });
      await service.stop();
    });
  });

  test('a program begins with the size that the terminal has by then', async () => {
    await withSandbox(async (sandbox) => {
      const sized = 'until stty size | grep -x "30 90"; do sleep 0.1; done; read -r line';
      const service = sandbox.start('dserve', ['--pty', '-n', '1', sized, 'sized']);
      await service.line();
      const first = sandbox.start('dcat', ['-v', 'sized']);
      await first.says(/using /);
      await withScreen(sandbox, sandbox.env, async (screen) => {
        await screen.type('dcat -v sized', 'Enter');
        await screen.shows(/at its limit, waiting/);
        await screen.resize(90, 30);
        first.signal('SIGKILL');
        await screen.shows(/^30 90$/m);
        await screen.type('', 'Enter');
        await screen.shows(/here> $/m);
      });
    });
  });
} else {
  test.skip('~. behind a newline', 'there is no tmux');
}

test.run();
