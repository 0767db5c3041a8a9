// An exporter that is killed as soon as its holder was sent a connection, which runs later. argv: the program, and where to connect to.
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Holder } from '@dipus/session/holder';

const [file = '', path = ''] = process.argv.slice(2);

const connection = connect(path);
connection.once('connect', () => void hold());

async function hold(): Promise<void> {
  new Holder({ file, args: ['//holder'] }).hold(connection);
  // On its way within one, where the holder takes fifty and more to run.
  await sleep(10);
  process.kill(process.pid, 'SIGKILL');
}
