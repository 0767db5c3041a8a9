import type { Duplex } from 'node:stream';
import { controlPreface, dataPreface, linkPreface, type Info } from '@dipus/proto/control';
import type { SocketKind } from '@dipus/proto/sep';
import { ControlConnection } from './control-connection.ts';
import { awaitPreface, refuseSession } from './preface.ts';

/** Which half of which session a connection is; without a token it is of a stage, where no end is believed that is not certified. */
export interface SessionHalf {
  readonly kind: SocketKind;
  readonly token?: string;
  /** It is the input or the output of a stage: nothing is answered on it. */
  readonly isOneWay?: boolean;
}

export interface OpeningHandler {
  info(): Promise<Info>;
  /** It is half of a session. The connection is not read any more; what it has sent comes again when it is. */
  begin(half: SessionHalf): void;
}

/** Reads a connection to a control socket until it asks for a session; what needs no session is answered here. */
export function awaitSession(connection: Duplex, handler: OpeningHandler): void {
  const begin = (half: SessionHalf, bytes: readonly Buffer[]): void => {
    connection.pause().unshift(Buffer.concat(bytes));
    handler.begin(half);
  };
  awaitPreface(connection, (preface) => {
    if (preface.kind === 'pass') return refuseSession(connection, { reason: 'it takes no connections', retry: false });
    if (preface.kind !== 'control') {
      const { kind, token, rest } = preface;
      if (kind === 'data') return begin({ kind, token }, [Buffer.from(dataPreface(token)), rest]);
      return begin({ kind: 'data', isOneWay: true }, [Buffer.from(linkPreface(kind, token, preface.isKeyed)), rest]);
    }
    const control = new ControlConnection(connection, () => handler.info(), {
      start: ({ token }) => begin({ kind: 'control', token }, [Buffer.from(controlPreface), control.detach()]),
      stage: ({ kind }) => {
        if (kind === 'prepare') begin({ kind: 'control' }, [Buffer.from(controlPreface), control.detach()]);
      },
      signal: () => {},
      resize: () => {},
      gone: () => {},
    });
    if (preface.rest.length > 0) control.read(preface.rest);
  });
}
