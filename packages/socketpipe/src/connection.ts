import type { ChildProcess } from 'node:child_process';
import type { Socket } from 'node:net';
import { constants } from 'node:os';

/** What one end tells the other while the commands run. */
export type Message =
  /** The remote command has ended; cut short: because nobody read its output any more. */
  | { readonly kind: 'exit'; readonly status: number; readonly isCutShort: boolean }
  /** End the remote command. */
  | { readonly kind: 'kill'; readonly signal: NodeJS.Signals }
  /** Nobody reads the remote command's output any more. */
  | { readonly kind: 'deaf' };

export interface Control {
  send(message: Message): void;
  /** Each message; undefined when no more can come. Called once. */
  receive(handle: (message: Message | undefined) => void): void;
  /** Ends our direction; what was sent still arrives. */
  end(): void;
  close(): void;
}

/** The way between the two ends, direct or through the login command. */
export interface Connection {
  /** Undefined where the other end is an old one. */
  readonly control: Control | undefined;
  /** What a command gets as its stdin or stdout. */
  readonly stdio: Socket | 'pipe';
  /** To be called in the very tick in which the commands are started: from then on data may come. */
  open(): void;
  /** Tells which commands were started: the one that writes into the connection, and the one that reads from it. */
  attach(writer: ChildProcess | undefined, reader: ChildProcess | undefined): void;
  /** Half-close, as the writer has ended: the other end reads EOF after all that was written. */
  halfClose(): void;
  /** Half-close, as nobody wants more: whoever still writes gets SIGPIPE. Whether somebody may still have wanted to. */
  refuseWriting(): boolean;
  /** Throws away what still comes, so that nothing on its way out is lost to a reset; settles when the other end writes no more. */
  discard(): Promise<void>;
  /** Settles when all that was written is on its way; then the process may end. */
  flush(): Promise<void>;
  close(): void;
}

// Of a command that died of SIGPIPE, and of a shell whose last command did.
const brokenPipe = 128 + constants.signals.SIGPIPE;

/** Whether a command whose writing was refused has ended by that. */
export function isCutShort(ending: { status: number }, connection: Connection): boolean {
  // Node's pipes are socket pairs, where the writer may meet ECONNRESET before EPIPE, and fail in its own way.
  return ending.status === brokenPipe || (connection.stdio === 'pipe' && ending.status !== 0);
}

/** A message as a peer sent it; undefined for what is none. */
export function readMessage(text: string): Message | undefined {
  try {
    const value = JSON.parse(text) as Partial<Record<string, unknown>> | null;
    if (value?.['kind'] === 'deaf') return { kind: 'deaf' };
    if (value?.['kind'] === 'exit' && typeof value['status'] === 'number') {
      return { kind: 'exit', status: value['status'] & 255, isCutShort: value['isCutShort'] === true };
    }
    const signal = value?.['signal'];
    if (value?.['kind'] === 'kill' && (signal === 'SIGINT' || signal === 'SIGTERM' || signal === 'SIGHUP')) return { kind: 'kill', signal };
  } catch {
    // Not ours to understand.
  }
  return undefined;
}
