import { UsageError } from '@dipus/cli/errors';

/** A service as the user asks for it. */
export interface ServiceRequest {
  readonly command: string;
  readonly area: 'local' | 'exported';
  readonly protocol: string;
  readonly name: string;
  readonly host: string;
  readonly instance?: number;
  readonly mode?: number;
  readonly group?: string;
  readonly max: number;
  readonly hasTerminal: boolean;
}

/** Reads an octal mode, 0 to 777. Throws UsageError. */
export function parseMode(text: string): number {
  if (!/^0?[0-7]{1,3}$/.test(text)) throw new UsageError(`mode ${JSON.stringify(text)} is not octal, 0 to 777`);
  return Number.parseInt(text, 8);
}
