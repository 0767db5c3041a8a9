// The log of use: a line for each connection to a service when it has ended.
import { formatExit, type Exit } from '@dipus/proto/control';
import type { SocketKind } from '@dipus/proto/sep';

/** One use of a service by a peer. */
export interface Use {
  /** The address of the client, and its name where its key is known. */
  readonly address: string;
  readonly name?: string;
  /** The path of the service. */
  readonly service: string;
  readonly kind: 'plain' | SocketKind | 'post';
}

/** How it ended, as far as that is known. */
export interface UseResult {
  readonly result: 'done' | 'broken' | 'closed';
  readonly exit?: Exit | undefined;
  /** Bytes to the service and from it. */
  readonly in?: number | undefined;
  readonly out?: number | undefined;
}

export interface UseLogOptions {
  /** Takes a line; undefined where nobody wants to know. */
  readonly write: ((line: string) => void) | undefined;
  /** An object a line, else a sentence. */
  readonly isJson: boolean;
}

export class UseLog {
  readonly #options: UseLogOptions;

  constructor(options: UseLogOptions) {
    this.#options = options;
  }

  /** Notes that a use begins. Returns how to tell its end. */
  begin(used: () => Use): (result: UseResult) => void {
    const { write, isJson } = this.#options;
    if (!write) return () => {};
    const use = used();
    const began = Date.now();
    return (result) => {
      const seconds = (Date.now() - began) / 1000;
      write(isJson ? objectOf(use, result, seconds) : sentenceOf(use, result, seconds));
    };
  }
}

function objectOf({ service, address: peer, name, kind }: Use, { exit, ...result }: UseResult, seconds: number): string {
  return JSON.stringify({ event: 'end', ...exit, seconds, service, peer, name, kind, ...result, time: Date.now() / 1000 });
}

function sentenceOf({ service, address, name, kind }: Use, result: UseResult, seconds: number): string {
  const peer = name === undefined ? address : `${name} (${address})`;
  const bytes = result.in === undefined ? [] : [`${result.in} bytes in`, `${result.out} out`];
  return `${peer}: ends ${kind} of ${service}: ${[howOf(result), `${seconds.toFixed(2)} s`, ...bytes].join(', ')}`;
}

function howOf({ result, exit }: UseResult): string {
  if (exit) return formatExit(exit);
  return result === 'broken' ? 'broken off' : result;
}
