/**
 * Resolves when the event loop has read all sockets once more. A process that was stopped wakes up with its timers late and its sockets
 * full: what lies in them is seen before a timer is believed, or a client taken to be still there.
 */
export async function socketsSeen(): Promise<void> {
  for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => setImmediate(resolve));
}
