import { Socket } from 'node:net';
import { isatty } from 'node:tty';
import { printDiagnostics } from '@dipus/cli/output';
import { run, type Context } from '@dipus/cli/run';
import { parseArgs } from './args.ts';
import { serveOldPeer, setUpOldPeer } from './compat.ts';
import { serveRemoteEnd } from './far.ts';
import { setUp } from './setup.ts';
import { socketpipe } from './socketpipe.ts';

run({ name: 'socketpipe', failureStatus: 125, usageStatus: 125 }, async (context) => {
  const request = parseArgs(process.argv.slice(2));
  if (request.role === 'text') return context.print(request.text);
  if (request.role === 'far') return serveRemoteEnd(farOptions(context));
  if (request.role === 'far-compat') return serveOldPeer(request, context);
  if (request.job.isVerbose) context.startExplaining();
  return socketpipe(request.job, nearOptions(context), request.role === 'near' ? setUp : setUpOldPeer);
});

// Our stdin and stdout are the local commands'; only a terminal is ever read here, and Node reads it by a descriptor of its own.
function nearOptions(context: Context): Parameters<typeof socketpipe>[1] {
  return {
    ...context,
    isStdinTerminal: isatty(0),
    isStdoutTerminal: isatty(1),
    openStdin: () => process.stdin,
    showStderr: printDiagnostics,
    session: process.env['SSH_CONNECTION'],
    path: process.env['PATH'],
  };
}

function farOptions(context: Context): Parameters<typeof serveRemoteEnd>[0] {
  return {
    ...context,
    stdin: process.stdin,
    // process.stdout would block this process where its reader is slow.
    openStdout: () => new Socket({ fd: 1, readable: false, writable: true }),
    session: process.env['SSH_CONNECTION'],
  };
}
