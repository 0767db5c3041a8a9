// Starting Node as root with no more rights than it needs to become another user (capabilities(7)).
import { spawnSync } from 'node:child_process';

// Root's rights come from two sets. What may be inherited is all that is left when the other one, the bounding set, is empty; and that one
// stays empty for good, so that nothing this process could run would give it back what it has given up.
const inherited = ['--inh-caps=-all,+setuid,+setgid,+net_bind_service'];
const bounded = ['--no-new-privs', '--bounding-set=-all'];
const setpriv = 'setpriv';

/** What fork() is to run instead of Node. It is Node itself where there is no setpriv(1), or it may not do that. */
export function boundedNode(): { readonly execPath: string; readonly execArgv: readonly string[] } {
  const args = [...inherited, setpriv, ...bounded];
  const isPossible = spawnSync(setpriv, [...args, 'true'], { stdio: 'ignore' }).status === 0;
  if (!isPossible) return { execPath: process.execPath, execArgv: process.execArgv };
  return { execPath: setpriv, execArgv: [...args, process.execPath, ...process.execArgv] };
}
