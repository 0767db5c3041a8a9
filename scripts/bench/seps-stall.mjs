// The same as stall.mjs over seps, where all streams share one connection.
import { startOurOwn } from './seps-pair.mjs';
import { prepareStall } from './stall.mjs';

export async function prepare(stage) {
  const { socket } = await startOurOwn(stage);
  return prepareStall(stage, socket, ' over seps');
}
