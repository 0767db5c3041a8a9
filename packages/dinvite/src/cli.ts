import { hostname } from 'node:os';
import { run } from '@dipus/cli/run';
import { configFolder } from '@dipus/seps/config-folder';
import { userId, userName } from '@dipus/tree/accounts';
import { readTrust } from '@dipus/tree/trust';
import { parseArguments } from './args.ts';
import { inviteAndWait, withdraw } from './dinvite.ts';

run({ name: 'dinvite' }, async (context) => {
  const args = parseArguments(process.argv.slice(2));
  if (args.text !== undefined) return context.print(args.text);
  const trust = readTrust(process.env);
  const folder = configFolder(process.env, trust);
  if (args.isDelete) return withdraw(folder, args.name);
  return inviteAndWait(args, { context, folder, user: { uid: trust.uid, name: userName(trust.uid) }, userId, systemHost: hostname() });
});
