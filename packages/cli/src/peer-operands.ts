// The operands of the commands for keys: HOST, NAME, OPTION.
import { parseGrantOptions, type GrantOptions } from '@dipus/proto/grant';
import { parseExporter } from '@dipus/proto/known-line';
import { isPeerName, LineError } from '@dipus/proto/peers-file';
import type { HostPort } from '@dipus/proto/uri';
import { UsageError } from './errors.ts';
import { readOperand } from './operand.ts';

/** `HOST[:PORT]` of an exporter. Throws UsageError. */
export function readExporter(text: string): HostPort {
  return readOperand('HOST', text, parseExporter);
}

/** Throws UsageError where a peer cannot be called so. */
export function checkPeerName(name: string): void {
  if (!isPeerName(name)) throw new UsageError(`NAME ${JSON.stringify(name)} is not 1 to 64 of A-Z a-z 0-9 . _ @ + -`);
}

/** The options of a line of authorized_peers. Throws UsageError. */
export function readGrantOptions(options: readonly string[]): GrantOptions {
  try {
    return parseGrantOptions(options);
  } catch (error) {
    if (error instanceof LineError) throw new UsageError(`OPTION: ${error.message}`, 'dipus-keys(7) has the options of authorized_peers');
    throw error;
  }
}
