// How long a pipeline of three stages takes where there is nothing to do, and where a stage must be told that its reader has gone.
import { startNodes } from './pipe-nodes.mjs';
import { atMost, atMostPlus } from './targets.mjs';

export async function prepare(stage) {
  const { a, b, c } = await startNodes(stage, { a: {}, b: {}, c: {} });
  const dpipes = `dpipes --direct -n ${[a, b, c].map(({ uri }) => `-N ${uri}`).join(' ')}`;
  const contender = (name, script, lacks) => ({ name, measure: () => stage.timeShell(script), ...(lacks && { lacks }) });
  return {
    title: 'a pipeline of three stages on three hosts, from its start to its end',
    unit: 'ms',
    contenders: [
      contender('dpipes', `${dpipes} '@a true | @b true | @c true'`),
      contender('dpipes, yes', `${dpipes} '@a yes | @b cat | @c head -n 1'`),
      contender('ssh × 3', `${a.ssh} true | ${b.ssh} true | ${c.ssh} true`, a.ssh ? undefined : 'sshd'),
      contender('node -e 0', 'node -e 0'),
    ],
    targets: [
      atMost('dpipes', 0.5, 'ssh × 3'),
      atMostPlus('dpipes', 'node -e 0', { extra: 200, unit: 'ms' }),
      atMostPlus('dpipes, yes', 'dpipes', { extra: 100, unit: 'ms' }),
    ],
    repeat: 3,
  };
}
