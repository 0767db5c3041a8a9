import { run } from '@dipus/cli/run';
import { configFolder } from '@dipus/seps/config-folder';
import { ownHost } from '@dipus/tree/root';
import { readTrust } from '@dipus/tree/trust';
import { parseArguments } from './args.ts';
import { knownKeys, ownKey, writeCertificate } from './dkey.ts';

run({ name: 'dkey' }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  const folder = configFolder(process.env, readTrust(process.env));
  if (args.isCert) return context.print(`${writeCertificate(folder)}\n`);
  if (!args.target) return context.print(`${ownKey(folder, args.isLine ? ownHost(process.env) : undefined)}\n`);
  const lines = knownKeys(folder, args.target, { isLine: args.isLine, warn: context.warn });
  return context.print(lines.map((line) => `${line}\n`).join(''));
});
