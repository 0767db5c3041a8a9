// Listens on many sockets from one process: node listeners.mjs AREA COUNT. Prints how many there are when all listen.
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';

const [area, count] = [process.argv[2], Number(process.argv[3])];
const perDirectory = 100;
process.umask(0o177);
let listening = 0;
for (let at = 0; at < count; at++) {
  const directory = `bench/p${Math.floor(at / perDirectory)}`;
  if (at % perDirectory === 0) makeDirectory(`${area}/${directory}`);
  const server = createServer((socket) => socket.destroy());
  server.listen(`${area}/${directory}/s${at}.bench...0`, () => {
    if (++listening === count) console.log(count);
  });
}

function makeDirectory(path) {
  const mask = process.umask(0o022);
  mkdirSync(path, { recursive: true });
  process.umask(mask);
}
