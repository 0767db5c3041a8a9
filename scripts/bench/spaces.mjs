// Hosts of this machine: network namespaces on one bridge, which only root can make.
import { execFileSync } from 'node:child_process';
import { lackOf } from './stage.mjs';

/** Why there can be none: then everything is on loopback. */
export const lacksSpaces = process.getuid() === 0 ? lackOf('ip') : 'root';

/**
 * Makes hosts until the stage closes: each has an `address` that the others and this host reach, and words that run a command there.
 * Without root each is this host.
 */
export function makeSpaces(stage, count) {
  if (lacksSpaces !== undefined) return Array.from({ length: count }, () => ({ address: '127.0.0.1', words: [] }));
  const network = `10.213.${process.pid % 250}`;
  const bridge = `db${process.pid}`;
  const ip = (...args) => execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  stage.atClose(() => ip('link', 'del', bridge));
  ip('link', 'add', bridge, 'type', 'bridge');
  ip('address', 'add', `${network}.254/24`, 'dev', bridge);
  ip('link', 'set', bridge, 'up');
  return Array.from({ length: count }, (_, at) => {
    const [name, port, address] = [`${bridge}-${at}`, `${bridge}p${at}`, `${network}.${at + 1}`];
    ip('netns', 'add', name);
    stage.atClose(() => ip('netns', 'del', name));
    ip('link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    // A namespace goes some time after its name.
    stage.atClose(() => ip('link', 'del', port));
    ip('link', 'set', port, 'master', bridge, 'up');
    ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0');
    for (const device of ['eth0', 'lo']) ip('-n', name, 'link', 'set', device, 'up');
    return { address, words: ['ip', 'netns', 'exec', name] };
  });
}

/** A command as it runs there. */
export function inSpace({ words }, command, args) {
  const [first, ...others] = [...words, command];
  return [first, [...others, ...args]];
}
