// The smallest request to a service of another host, whole, by the two ways that it can take.
import { startServices } from './direct.mjs';
import { atMost } from './targets.mjs';

export async function prepare(stage) {
  const times = stage.quick ? 5 : 20;
  const { uri } = await startServices(stage);
  const contender = (name) => ({
    name,
    measure: async () =>
      (await stage.timeShell(`for i in $(seq ${times}); do echo x | dcat ${uri}/${name} >/dev/null || exit; done`)) / times,
  });
  return {
    title: '2 bytes there and back by dcat sep://, a program each time',
    unit: 'ms',
    contenders: [contender('direct'), contender('relayed')],
    targets: [atMost('direct', 1, 'relayed')],
  };
}
