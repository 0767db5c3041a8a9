// From connecting to the first byte that comes back: each time a program is started behind the service.
import { medianEcho } from './echo.mjs';
import { lackOf } from './stage.mjs';

export async function prepare(stage) {
  const times = stage.quick ? 20 : 100;
  const { line: ours } = await stage.startReady('dserve', ['cat', 'echo']);
  const theirs = `${stage.dir}/socat.sock`;
  const lacks = lackOf('socat');
  if (!lacks) {
    stage.start('socat', [`UNIX-LISTEN:${theirs},fork`, 'EXEC:cat']);
    await stage.socketThere(theirs);
  }
  return {
    title: `connect, start cat, 1 byte echoed: p50 of ${times}`,
    unit: 'ms',
    contenders: [
      { name: 'plain client to dserve', measure: () => medianEcho(ours, times) },
      { name: 'plain client to socat', measure: () => medianEcho(theirs, times), ...(lacks && { lacks }) },
    ],
  };
}
