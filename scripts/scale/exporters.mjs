// Stands for many exporters: node exporters.mjs EXPORTERS SERVICES. Each listens on a loopback address of its own and speaks of SEP what a
// watch needs. Prints their URIs. Reads `+ AT NAME`, `- AT NAME` (the exporter AT gets or loses a service) and `x AT` (it dies).
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [exporters, services] = process.argv.slice(2).map(Number);
const protocols = 10;
const all = Array.from({ length: exporters }, (_, at) => makeExporter(at));
const { port } = await listen(all[0], 0);
for (const one of all.slice(1)) await listen(one, port);
console.log(all.map(({ address }) => `sep://${address}:${port}`).join('\n'));
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [sign, at, name] = line.split(' ');
    if (sign === 'x') all[at].die();
    else all[at].change(sign, pathOf(at, name));
  })
  .on('close', () => all.forEach(({ die }) => die()));

function makeExporter(at) {
  const paths = new Set(Array.from({ length: services }, (_, number) => pathOf(at, `s${number}`)));
  const watches = new Set();
  const server = createServer((request, response) => {
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson', 'Sep-Version': '1' });
    response.write(`${[...paths].map((path) => eventOf('+', path)).join('')}{"event":"ready"}\n`);
    watches.add(response);
    response.once('close', () => watches.delete(response));
  });
  const ping = setInterval(() => watches.forEach((one) => one.write('{"event":"ping"}\n')), 15_000);
  return {
    server,
    address: `127.0.${1 + Math.floor(at / 250)}.${1 + (at % 250)}`,
    change: (sign, path) => {
      if (sign === '+') paths.add(path);
      else paths.delete(path);
      for (const one of watches) one.write(eventOf(sign, path));
    },
    die: () => {
      clearInterval(ping);
      server.close();
      server.closeAllConnections();
    },
  };
}

function pathOf(at, name) {
  return `p${Number(name.slice(1)) % protocols}/${name}.h${at}...0`;
}

function eventOf(sign, path) {
  return `${JSON.stringify({ event: sign === '+' ? 'add' : 'remove', path, control: true })}\n`;
}

async function listen({ server, address }, wanted) {
  server.listen(wanted, address);
  await once(server, 'listening');
  return server.address();
}
