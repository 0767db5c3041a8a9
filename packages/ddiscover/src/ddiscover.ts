import type { Arguments } from './args.ts';
import type { Find, Found } from './found.ts';

export interface DiscoverOutput {
  print(lines: string): void;
  /** It watches. */
  ready(): void;
  warn(error: unknown): void;
}

/**
 * Prints what is found until there is no more, or, watching, each one that comes or goes until it is stopped. Rejects with Failure.
 */
export async function discover(args: Arguments, output: DiscoverOutput, stop: AbortSignal): Promise<void> {
  const shown = new Map<string, Set<string>>();
  const print = (event: 'add' | 'remove', found: Found): void => {
    const shownEvent = args.isWatch ? event : undefined;
    output.print(args.isJson ? jsonLine(shownEvent, found) : textLine(shownEvent, found));
  };
  const find = await finder(args);
  await find(
    {
      found: (found) => {
        if (found.isOwn && !args.isAll) return;
        // Two of them may lead to one place.
        const keys = shown.get(found.uri) ?? new Set();
        shown.set(found.uri, keys.add(found.key));
        if (keys.size === 1) print('add', found);
      },
      gone: (found) => {
        const keys = shown.get(found.uri);
        if (!keys?.delete(found.key) || keys.size > 0) return;
        shown.delete(found.uri);
        if (args.isWatch) print('remove', found);
      },
      ready: () => args.isWatch && output.ready(),
      trouble: output.warn,
    },
    stop,
  );
}

/** Only what is asked is loaded. */
async function finder({ registry, name, isWatch, lookMs }: Arguments): Promise<Find> {
  if (registry) {
    const { findInRegistry } = await import('./in-registry.ts');
    return (finding, stop) => findInRegistry({ registry, name, isWatch }, finding, stop);
  }
  const { findByMdns } = await import('./mdns.ts');
  return (finding, stop) => findByMdns({ lookMs: isWatch ? undefined : lookMs }, finding, stop);
}

function textLine(event: 'add' | 'remove' | undefined, { uri }: Found): string {
  return event === undefined ? `${uri}\n` : `${event === 'add' ? '+' : '-'} ${uri}\n`;
}

function jsonLine(event: 'add' | 'remove' | undefined, { uri, facts }: Found): string {
  return `${JSON.stringify({ ...(event && { event }), uri, ...facts })}\n`;
}
