// What we use of ssh2-streams 0.4.10, which has no types of its own.
declare module 'ssh2-streams/lib/ssh.js' {
  import type { Transform } from 'node:stream';

  namespace SSH2Stream {
    interface Algorithms {
      readonly kex: string[];
      readonly serverHostKey: string[];
      readonly cipher: string[];
      readonly hmac: string[];
      readonly compress: string[];
    }

    /** What a server offers, as its KEXINIT has it. */
    interface KexInit {
      readonly algorithms: {
        readonly kex: readonly string[];
        readonly srvHostKey: readonly string[];
        readonly cs: { readonly encrypt: readonly string[]; readonly mac: readonly string[]; readonly compress: readonly string[] };
        readonly sc: { readonly encrypt: readonly string[]; readonly mac: readonly string[]; readonly compress: readonly string[] };
      };
    }

    interface KeyboardPrompt {
      readonly prompt: string;
      readonly echo: boolean;
    }

    interface OpenConfirmation {
      /** The other side's number of the channel. */
      readonly sender: number;
      readonly window: number;
      readonly packetSize: number;
    }

    interface OpenFailure {
      /** The name of the reason code of RFC 4254, 5.1, where it has one. */
      readonly reason?: string;
      readonly description: string;
    }

    interface ChannelRequest {
      readonly request: string;
      readonly wantReply: boolean;
      readonly code?: number;
      readonly signal?: string;
    }
  }

  /** The protocol as a transform: the peer's bytes in, ours out, what was said as events. */
  class SSH2Stream extends Transform {
    constructor(setting: { ident?: string; algorithms?: SSH2Stream.Algorithms; highWaterMark?: number; debug?: (line: string) => void });
    /** Sends to the peer; false: wait for `continue`. */
    ping(): boolean;
    disconnect(reason?: number): false;
    service(name: string): boolean;
    authNone(user: string): boolean;
    authPassword(user: string, password: string): boolean;
    authKeyboard(user: string): boolean;
    authInfoRes(answers: readonly string[]): boolean;
    authPK(
      user: string,
      key: { readonly type: string; getPublicSSH(): Buffer },
      sign?: (bytes: Buffer, done: (signature: Buffer) => void) => void,
    ): boolean;
    requestFailure(): boolean;
    session(local: number, windowBytes: number, packetBytes: number): boolean;
    openssh_directStreamLocal(local: number, windowBytes: number, packetBytes: number, setting: { readonly socketPath: string }): boolean;
    exec(remote: number, command: string, wantReply: boolean): boolean;
    subsystem(remote: number, name: string, wantReply: boolean): boolean;
    channelData(remote: number, bytes: Buffer): boolean;
    channelWindowAdjust(remote: number, bytes: number): boolean;
    channelEOF(remote: number): boolean;
    channelClose(remote: number): boolean;
    channelFailure(remote: number): boolean;
    channelOpenFail(remote: number, reason: number, description: string, language: string): boolean;
  }
  export = SSH2Stream;
}

declare module 'ssh2-streams/lib/keyParser.js' {
  namespace keyParser {
    /** A key as it was parsed. */
    interface ParsedKey {
      readonly type: string;
      readonly comment: string;
      getPrivatePEM(): string | null;
      getPublicPEM(): string | null;
      getPublicSSH(): Buffer;
    }
  }
  const keyParser: {
    parseKey(text: string | Buffer, passphrase?: string | Buffer): keyParser.ParsedKey | keyParser.ParsedKey[] | Error;
  };
  export = keyParser;
}
