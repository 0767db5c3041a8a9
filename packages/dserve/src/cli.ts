import { readFileSync } from 'node:fs';
import { Failure } from '@dipus/proto/failure';
import { readInput } from '@dipus/cli/input';
import { printDiagnostics } from '@dipus/cli/output';
import { run, type Context } from '@dipus/cli/run';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments, parseServiceFile, type Arguments } from './args.ts';
import { dserve, type Source } from './dserve.ts';
import type { ServiceRequest } from './service-request.ts';
import type { Asked } from './services.ts';

run({ name: 'dserve', isDaemon: true }, async (context) => {
  const args = parseArguments(process.argv.slice(2), () => ownHost(process.env));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();

  await dserve(openTree(process.env), sourceOf(args, context), {
    ...(args.graceMs !== undefined && { graceMs: args.graceMs }),
    stop: context.stop,
    stopNow: context.stopNow,
    report: { explain: context.explain, warn: context.warn, isLogJson: args.isLogJson, log: args.isLogJson ? printLine : context.explain },
    claimed: (path) => context.print(`${path}\n`),
    ready: () => context.ready(args.from === undefined ? '' : 'ready\n'),
    unchanged: () => context.ready(),
  });
  return 0;
});

function printLine(line: string): void {
  printDiagnostics(`${line}\n`);
}

function sourceOf({ service, from }: Arguments, context: Context): Source {
  if (from === undefined) return { read: () => [{ request: checked(service!, context) }], watch: () => {} };
  return {
    read: () => readServices(from, context),
    watch: (changed) => {
      // What has been read to its end cannot be read again.
      if (from === '-') return;
      context.interceptSignals((signal) => {
        const isReload = signal === 'SIGHUP' && !context.stop.aborted;
        if (!isReload) return false;
        context.reloading();
        changed();
        return true;
      });
    },
  };
}

function readServices(file: string, context: Context): Asked[] {
  const { services, faults } = parseServiceFile(readText(file), ownHost(process.env));
  const label = file === '-' ? 'stdin' : file;
  for (const { line, reason } of faults) context.warn(new Failure('read', `${label}:${line}`, reason));
  return services.map(({ line, request }) => ({ request: checked(request, context), origin: `${label}:${line}` }));
}

/** Warns of what somebody will hardly mean. */
function checked(request: ServiceRequest, context: Context): ServiceRequest {
  if (request.group !== undefined && request.mode === undefined) {
    const hint = '-m 660 goes with -g';
    context.warn(new Failure('serve', `${request.name} for group ${request.group}`, 'mode 600 lets none of its members in').withHint(hint));
  }
  return request;
}

function readText(file: string): string {
  try {
    return file === '-' ? readInput() : readFileSync(file, 'utf8');
  } catch (error) {
    throw new Failure('read', file === '-' ? 'stdin' : file, error);
  }
}
