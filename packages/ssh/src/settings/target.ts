import { bracketed } from '@dipus/proto/ip-address';

/** What the user typed of an ssh:// URI: user and port only where given. */
export interface LoginTarget {
  readonly host: string;
  readonly user?: string;
  readonly port?: number;
}

/** `ssh://[USER@]HOST[:PORT]` as the user typed it; ssh reads it too. */
export function formatTarget({ user, host, port }: LoginTarget): string {
  return `ssh://${user === undefined ? '' : `${user}@`}${bracketed(host)}${port === undefined ? '' : `:${port}`}`;
}

/** How ssh carries a single socket of a host that only ssh itself can log in to. */
export function wayOut(target: LoginTarget): string {
  return `ssh can carry a socket: ssh -N -L LOCAL.sock:REMOTE.sock ${formatTarget(target)}; then use unix:///DIR/LOCAL.sock`;
}
