import { setFlagsFromString } from 'node:v8';

/**
 * Keeps the part of the heap small where short-lived objects are born: a daemon with many connections makes few at a time, and would keep
 * megabytes of dead ones for speed that it does not need.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
}
