import { lstatSync } from 'node:fs';

const setpriv = '/usr/bin/setpriv';

/**
 * The command by which the kernel ends another one with its parent, before anybody learns of that one's death; undefined where there
 * is none.
 */
export const runner: readonly [string, ...string[]] | undefined = hasDeathSignal() ? [setpriv, '--pdeathsig', 'KILL'] : undefined;

// Busybox has one that cannot do this, and is reached by a link.
function hasDeathSignal(): boolean {
  return process.platform === 'linux' && lstatSync(setpriv, { throwIfNoEntry: false })?.isFile() === true;
}
