import { isatty } from 'node:tty';
import { openPrompter } from '@dipus/cli/prompter';
import { run } from '@dipus/cli/run';
import { localLookup } from '@dipus/sep/local-lookup';
import { configFolder } from '@dipus/seps/config-folder';
import { userId, userName } from '@dipus/tree/accounts';
import { ownHost } from '@dipus/tree/root';
import { readTrust } from '@dipus/tree/trust';
import { parseArguments } from './args.ts';
import { joinExporter } from './djoin.ts';
import { readCodeFrom } from './typed-code.ts';

run({ name: 'djoin' }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  const trust = readTrust(process.env);
  return joinExporter(args, {
    context,
    folder: configFolder(process.env, trust),
    user: { uid: trust.uid, name: userName(trust.uid) },
    userId,
    ownHost: ownHost(process.env),
    lookup: localLookup(async (...asked) => (await import('@dipus/mdns/resolve')).resolveLocal(...asked)),
    readCode: () => readCodeFrom(isatty(0) ? openPrompter() : undefined, process.stdin, context.stop),
  });
});
