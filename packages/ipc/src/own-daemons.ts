/** The command that is the daemon of a scheme, for those that are ours. */
export const ownDaemons: Readonly<Record<string, string>> = { tcp: 'dtcp', tls: 'dtls', udp: 'dudp', ws: 'dws', wss: 'dws' };
