// An SSH server for tests that misbehaves: node hostile-sshd.mjs HOST_KEY WHAT [CLAIMED_KEY]. Prints its port; ends with its stdin.
// WHAT: `claims` shows CLAIMED_KEY but signs with HOST_KEY; else WHEN:HEX sends these payloads, each on a connection of its own, the last
// one again and again; WHEN is kex, keys, auth or in.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import SSH2Stream from 'ssh2-streams/lib/ssh.js';
import keyParser from 'ssh2-streams/lib/keyParser.js';

const [keyFile, what, claimedFile] = process.argv.slice(2);
const readKey = (file) => [keyParser.parseKey(readFileSync(file))].flat()[0];
const own = readKey(keyFile);
const shown = claimedFile === undefined ? own : readKey(claimedFile);
const hostKey = { type: shown.type, getPublicSSH: () => shown.getPublicSSH(), sign: (bytes) => own.sign(bytes) };
const { _send: sendPayload } = SSH2Stream;
const sockets = new Set();
const [when, ...payloads] = what.split(':');

const server = createServer((socket) => {
  sockets.add(socket);
  const payload = Buffer.from((payloads.length > 1 ? payloads.shift() : payloads[0]) ?? '', 'hex');
  const stream = new SSH2Stream({ server: true, hostKeys: { [shown.type]: hostKey }, algorithms: { serverHostKey: [shown.type] } });
  const hurtAt = (moment) => when === moment && sendPayload(stream, payload);
  stream.on('KEXINIT', () => hurtAt('kex'));
  stream.on('SERVICE_REQUEST', (name) => {
    hurtAt('keys');
    stream.serviceAccept(name);
  });
  stream.on('USERAUTH_REQUEST', (_user, _service, method) => {
    hurtAt('auth');
    if (method === 'none') stream.authFailure(['publickey'], false);
    else stream.authSuccess();
    if (method !== 'none') hurtAt('in');
  });
  stream.on('GLOBAL_REQUEST', () => stream.requestFailure());
  for (const each of [socket, stream]) each.on('error', () => {});
  socket.pipe(stream).pipe(socket);
}).listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => {
  server.close();
  for (const socket of sockets) socket.destroy();
});
