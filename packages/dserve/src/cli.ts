import { readFileSync } from 'node:fs';
import { Failure } from '@dipus/cli/errors';
import { readInput } from '@dipus/cli/input';
import { run, type Context } from '@dipus/cli/run';
import { openTree, ownHost } from '@dipus/tree/root';
import { parseArguments } from './args.ts';
import { dserve, type Asked } from './dserve.ts';
import { parseServiceFile } from './service-file.ts';

run({ name: 'dserve', isDaemon: true }, async (context) => {
  const args = parseArguments(process.argv.slice(2), () => ownHost(process.env));
  if (args.text !== undefined) return context.print(args.text);
  if (args.isVerbose) context.startExplaining();

  const asked = args.from === undefined ? [{ request: args.service! }] : readServices(args.from, context);
  const options = {
    ...(args.graceMs !== undefined && { graceMs: args.graceMs }),
    stop: context.stop,
    stopNow: context.stopNow,
    report: { explain: context.explain, warn: context.warn },
    claimed: (path: string) => context.print(`${path}\n`),
  };
  await dserve(openTree(process.env), asked, options, () => {
    if (args.from !== undefined) context.print('ready\n');
  });
  return 0;
});

function readServices(file: string, context: Context): Asked[] {
  const { services, bad } = parseServiceFile(readText(file), ownHost(process.env));
  const label = file === '-' ? 'stdin' : file;
  for (const { line, reason } of bad) context.warn(new Failure('read', `${label}:${line}`, reason));
  return services.map(({ line, request }) => ({ request, origin: `${label}:${line}` }));
}

function readText(file: string): string {
  try {
    return file === '-' ? readInput() : readFileSync(file, 'utf8');
  } catch (error) {
    throw new Failure('read', file === '-' ? 'stdin' : file, error);
  }
}
