// How long a command takes to start, and to do nothing, against the runtime alone.
import { atMost, atMostPlus } from './targets.mjs';

export async function prepare(stage) {
  await stage.startReady('dserve', ['cat', 'echo']);
  return {
    title: 'start to end',
    unit: 'ms',
    repeat: stage.quick ? 3 : 6,
    contenders: [
      { name: 'node -e 0', measure: () => stage.time(process.execPath, ['-e', '0']) },
      { name: 'dcat --version', measure: () => stage.time('dcat', ['--version']) },
      { name: 'dcat echo </dev/null', measure: () => stage.time('dcat', ['echo']) },
    ],
    targets: [atMost('dcat --version', 1.6, 'node -e 0'), atMostPlus('dcat echo </dev/null', 'node -e 0', { extra: 65, unit: 'ms' })],
  };
}
