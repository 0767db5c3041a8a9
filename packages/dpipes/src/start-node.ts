import type { Duplex } from 'node:stream';
import { Failure } from '@dipus/proto/failure';
import { printable } from '@dipus/proto/printable';
import type { RemoteHost } from '@dipus/proto/remote';

// It ends with the connection: without a terminal nobody else ends what runs there. Stages that run then may finish. Whoever logs in as
// root means it.
const script = `exec 3<&0
[ "$(id -u)" -ne 0 ] || root='--user root'
DIPUS_ROOT=$1 dpipesd --foreground $root 2>&1 </dev/null 3<&- &
daemon=$!
{ cat <&3; kill $daemon; } >/dev/null 2>&1 &
wait $daemon
kill $! 2>/dev/null`;

const maxLineBytes = 4096;

/** Runs dpipesd on a host until what this returns is closed. Rejects with Failure where it does not get ready. */
export async function startNode(host: RemoteHost): Promise<Duplex> {
  if (!host.runScript) throw new Failure('run', `dpipesd at ${host.printed}`, 'its host runs no commands');
  const program = await host.runScript(script);
  const line = await firstLine(program);
  if (line.startsWith('/')) return program.resume();
  program.destroy();
  throw new Failure(
    'run',
    `dpipesd at ${host.printed}`,
    printable(line.replace(/^(?:sh: (?:\d+: )?|dpipesd: )/, '')) || 'it has ended',
  ).withHint('install it on that host, on the PATH of its sshd');
}

function firstLine(program: Duplex): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const finish = (): void => {
      program.off('data', read);
      resolve(text.split('\n')[0]!);
    };
    const read = (chunk: Buffer): void => {
      text += chunk.toString();
      if (text.includes('\n') || text.length > maxLineBytes) finish();
    };
    program.on('data', read).once('end', finish).once('close', finish);
  });
}
