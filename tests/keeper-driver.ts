// A keeper, and in the exporter's place whoever writes to stdin: an order a line. Replies are printed, and what an opened socket answers to
// `hello`.
// argv: the program, the root, the users it may serve, joined by commas.
import { fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Keeper } from '../packages/dexport/src/keeper.ts';
import type { Handle } from '@dipus/proto/handle';
import { socketOf } from '@dipus/session/passed-socket';
import { scaleTiming } from '@dipus/proto/timing';

const [program = '', root = '', users = ''] = process.argv.slice(2);

if (process.send) actAsExporter();
else keep();

function keep(): void {
  scaleTiming(Number(process.env['DIPUS_TIME_SCALE'] ?? 1));
  const exporter = fork(process.argv[1]!, process.argv.slice(2), { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] });
  const known = new Set(users.split(','));
  const keeper = new Keeper(exporter, {
    program,
    tree: { root, uid: 0, uids: [0] },
    pair: () => ({ refusal: 'no such invitation' }),
    whyNot: (user) => (known.has(user) ? undefined : `no key acts as ${user}`),
  });
  exporter.on('message', (message) => keeper.take(message)).once('exit', () => keeper.close());
}

function actAsExporter(): void {
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => process.send!(JSON.parse(line))).once('close', () => process.disconnect());
  process.on('message', (reply, handle) => void print(reply, handle as Handle | undefined));
}

async function print(reply: unknown, handle: Handle | undefined): Promise<void> {
  console.log(JSON.stringify({ ...(reply as object), ...(handle && { answer: await talk(handle) }) }));
}

function talk(handle: Handle): Promise<string> {
  const socket = socketOf(handle);
  return new Promise((resolve) => {
    let answer = '';
    socket.on('data', (bytes: Buffer) => (answer += bytes.toString())).on('error', (error) => resolve(error.message));
    socket.on('close', () => resolve(answer));
    socket.end('hello');
    socket.resume();
  });
}
