import { readFileSync } from 'node:fs';
import { parseListening } from '@dipus/proto/listening';

/** Files at which something of this network namespace listens; empty where the system does not tell. */
export function listeningFiles(): Set<string> {
  try {
    return parseListening(readFileSync('/proc/net/unix', 'utf8'));
  } catch {
    return new Set();
  }
}
