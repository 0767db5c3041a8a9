// As whom services are looked at and opened.
import type { Socket } from 'node:net';
import type { SocketKind } from '@dipus/proto/sep';
import { openService } from '@dipus/tree/open-service';
import { mayOpen, probeService, type State } from '@dipus/tree/probe';
import type { Tree } from '@dipus/tree/root';

/** Which of the two sockets of a service. */
export type Half = 'plain' | Extract<SocketKind, 'control'>;

/** What a user may do with services, by the files of their plain sockets. */
export interface Access {
  /** Whether the user may connect to it, as far as permissions say. */
  mayOpen(file: string): Promise<boolean>;
  /** What answers at it: `forbidden` where the user may not open it. */
  stateOf(file: string): Promise<State>;
  /** Connects, as openService() does. */
  open(file: string, half: Half): Promise<Socket>;
}

/** The access of this process. */
export function ownAccess(trustedBy: Tree): Access {
  return {
    mayOpen: async (file) => mayOpen(file),
    // The control socket follows the plain one a moment later, so that the plain one counts.
    stateOf: async (file) => (mayOpen(file) ? probeService({ file, trustedBy }) : 'forbidden'),
    open: (file, half) => openService({ file, trustedBy }, half),
  };
}
