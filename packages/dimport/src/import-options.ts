import type { Descriptors } from '@dipus/cli/descriptors';
import type { Tree } from '@dipus/tree/root';
import type { FixedPaths } from './fixed-paths.ts';

/** What all imports of this process share. */
export interface ImportOptions {
  readonly tree: Tree;
  /** The area of the imports: the user's. */
  readonly area: string;
  readonly descriptors: Descriptors;
  readonly paths: FixedPaths;
  /** The most services that are imported from one host. */
  readonly maxOfHost: number;
  /** How many there are of all hosts, and may be. */
  readonly room: { taken: number; readonly most: number };
  /** Ends what still waits. */
  readonly stop: AbortSignal;
  print(lines: string): void;
  warn(error: unknown): void;
  explain(message: string): void;
}
