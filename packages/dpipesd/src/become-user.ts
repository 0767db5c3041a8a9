import { userInfo } from 'node:os';
import { dropTo } from '@dipus/tree/privileges';

/** Makes this process another user's, with the home directory and the names of that one. Throws Failure. */
export function becomeUser(name: string): void {
  const wasRoot = process.getuid!() === 0;
  dropTo(name);
  if (!wasRoot) return;
  const { username, homedir, shell } = userInfo();
  Object.assign(process.env, { HOME: homedir, USER: username, LOGNAME: username, SHELL: shell ?? '/bin/sh' });
}
