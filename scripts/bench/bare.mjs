// What the kernel gives to the processes of `head | dcat echo`: the same ones around a connected socket, with nothing of ours beside them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';

/** Milliseconds for `bytes` of zeros from head through cat, a socket, cat, the socket, cat. */
export async function timeBare(stage, bytes) {
  const [client, service] = await socketPair(`${stage.dir}/bare.sock`);
  const began = performance.now();
  const inherit = 'inherit';
  const sender = spawn('/bin/sh', ['-c', `head -c ${bytes} /dev/zero | cat`], { stdio: ['ignore', client, inherit] });
  const echo = spawn('cat', { stdio: [service, service, inherit] });
  const receiver = spawn('cat', { stdio: [client, 'ignore', inherit] });
  service.destroy();
  await once(sender, 'exit');
  client.end();
  const [[code]] = await Promise.all([once(receiver, 'exit'), once(echo, 'exit')]);
  client.destroy();
  if (code !== 0) throw new Error(`cat ended with ${code}`);
  return performance.now() - began;
}

/** Two ends of a connection that this process does not read. */
async function socketPair(path) {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(path);
  await once(server, 'listening');
  const client = connect({ path, allowHalfOpen: true }).pause();
  const [service] = await once(server, 'connection');
  server.close();
  return [client, service];
}
