// Echoes at a UNIX socket, from a process of its own: node echo-server.mjs PATH. Prints the path when it is ready.
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';

const path = process.argv[2];
mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
process.umask(0o177);
const server = createServer({ allowHalfOpen: true }, (socket) => void socket.on('error', () => {}).pipe(socket));
server.listen({ path, backlog: 512 }, () => console.log(path));
