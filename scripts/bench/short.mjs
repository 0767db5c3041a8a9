// Short requests, as a loop of the shell makes them: each is a program of its own.
import { writeFileSync } from 'node:fs';
import { lackOf } from './stage.mjs';
import { atLeast } from './targets.mjs';

export async function prepare(stage) {
  const times = stage.quick ? 8 : 48;
  const request = `${stage.dir}/request`;
  writeFileSync(request, 'x'.repeat(4096));
  const { line } = await stage.startReady('dserve', ['-n', '100', 'cat', 'echo']);
  const rows = [
    { name: 'dcat', command: 'dcat echo' },
    { name: 'socat', command: `socat -t 60 - UNIX-CONNECT:${line}`, lacks: lackOf('socat') },
    { name: 'node -e 0', command: 'node -e 0' },
  ];
  // Each must end with 0: xargs ends with 123 otherwise.
  const measure = (command, atOnce) => async () => {
    const one = `${command} <${request} >/dev/null`;
    return (times * 1000) / (await stage.timeShell(`seq ${times} | xargs -P ${atOnce} -n 1 sh -c '${one}'`));
  };
  return {
    title: 'requests of 4 KiB a second, one and eight at a time',
    unit: '/s',
    contenders: [1, 8].flatMap((atOnce) =>
      rows.map(({ name, command, lacks }) => ({
        name: atOnce === 1 ? name : `${name}, ${atOnce}`,
        measure: measure(command, atOnce),
        ...(lacks && { lacks }),
      })),
    ),
    targets: [atLeast('dcat', 0.5, 'node -e 0'), atLeast('dcat, 8', 0.5, 'node -e 0, 8')],
  };
}
