import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SessionError } from '@dipus/proto/session-error';
import type { Exit, Info, SignalName, Start, TerminalSize } from '@dipus/proto/control';
import type { PrepareStage } from './stage.ts';

/** One START with its data connection. Whoever begins it calls exactly one of `exit` and `fail`. */
export interface Session {
  readonly start: Start;
  /** Lets the client send, while nobody reads: of where STARTED comes before the program is started. */
  holdData(): void;
  /** The program's stdin and stdout to be: not read any more. Belongs to whoever begins the session. */
  takeData(): Duplex;
  /**
   * Where the data connection was passed: what that came over, to be closed when the program and all that it has left have no copy any
   * more. It is closed by itself with the data connection unless this is asked before.
   */
  takeCarrier(): Socket | undefined;
  /** The program runs, and our own copy of the data connection is closed. */
  started(tty: boolean): void;
  waiting(ahead: number): void;
  /** Bytes of the program's stderr; `drained` is called when more may come. */
  stderr(bytes: Buffer, drained: () => void): void;
  exit(exit: Exit): void;
  /** `retry`: the same may be asked again in a moment; no unless given. */
  fail(reason: string, retry?: boolean): void;
  /** What the client does from now on. `gone` is called at once if it is gone already. */
  listen(events: SessionActs): void;
}

export interface SessionActs {
  signal(name: SignalName): void;
  resize(size: TerminalSize): void;
  /** Of a START with `go`. */
  go?(): void;
  gone(): void;
}

/** What serves the sessions of one service. */
export interface SessionHandler {
  /** Why a connection that has just come must not be served; undefined: it may. It is closed with this as its ERROR. */
  refuse(): SessionError | undefined;
  begin(session: Session): void;
  info(): Info;
  /** Takes the connection that comes over a carrier, where a service takes such. Rejects where none comes. */
  readonly takePassed?: ((carrier: Socket) => Promise<Socket>) | undefined;
  /** Where its program may be a stage of a pipeline. */
  readonly prepare?: PrepareStage | undefined;
}
