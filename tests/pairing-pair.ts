// Two users of one host with keys of their own, and an exporter's side of the pairing.
import { existsSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import * as assert from 'uvu/assert';
import type { Pin } from '@dipus/proto/pin';
import { Failure } from '@dipus/proto/failure';
import { pinOfKey } from '@dipus/seps/certificate';
import { configFolder, type ConfigFolder } from '@dipus/seps/config-folder';
import { loadIdentity } from '@dipus/seps/identity';
import { join } from '@dipus/seps/join';
import { readCode } from '@dipus/seps/pair-proof';
import { protocolName } from '@dipus/seps/secured';
import { servePairing, takeInvitation, type JoinAnswer, type JoinRequest } from '@dipus/seps/pairing';
import { readTrust } from '@dipus/tree/trust';
import { withSandbox, type Sandbox } from './harness.ts';

// The exporter of root maps keys to users.
export const asRoot: string[] = process.geteuid!() === 0 ? ['user=root'] : [];
const never: AbortSignal = new AbortController().signal;

export interface Pair extends Sandbox {
  /** The exporter's folder, and the joiner's, which is that of the sandbox's programs. */
  readonly encode: ConfigFolder;
  readonly laptop: ConfigFolder;
  /** For programs that are the exporter's. */
  readonly encodeEnv: NodeJS.ProcessEnv;
  readonly port: number;
  /** What the exporter's side has told. */
  readonly told: string[];
  read(folder: ConfigFolder, name: string): string;
}

export type Take = (request: JoinRequest) => JoinAnswer | Promise<JoinAnswer>;

export function withPair(body: (pair: Pair) => Promise<void>, takeBy?: (encode: ConfigFolder) => Take): Promise<void> {
  return withSandbox(async (sandbox) => {
    const folderAt = (name: string): ConfigFolder => configFolder({ DIPUS_CONFIG: `${sandbox.dir}/${name}` }, readTrust({}));
    const [encode, laptop] = [folderAt('encode'), folderAt('config')];
    const told: string[] = [];
    const take = takeBy?.(encode) ?? ((request): JoinAnswer => takeInvitation(encode, request));
    const server = await pairingServer(encode, take, told);
    try {
      await body({
        ...sandbox,
        encode,
        laptop,
        encodeEnv: { ...sandbox.env, DIPUS_CONFIG: encode.dir },
        port: (server.address() as AddressInfo).port,
        told,
        read: ({ dir }, name) => (existsSync(`${dir}/${name}`) ? readFileSync(`${dir}/${name}`, 'utf8') : ''),
      });
    } finally {
      server.close();
    }
  });
}

async function pairingServer(folder: ConfigFolder, take: Take, told: string[]): Promise<Server> {
  const { key, cert } = loadIdentity(folder);
  const serve = servePairing({
    take,
    joined: (name, pin) => void told.push(`+ ${name} ${pin}`),
    explain: (line) => void told.push(line),
    warn: (error) => void told.push(String(error)),
  });
  const settings = { key, cert, minVersion: 'TLSv1.3', requestCert: true, rejectUnauthorized: false, allowHalfOpen: true } as const;
  const server = createServer({ ...settings, ALPNProtocols: [protocolName.pairing] }, (socket) =>
    serve(socket, { pin: pinOf(socket), address: socket.remoteAddress! }),
  );
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}

function pinOf(socket: TLSSocket): Pin {
  return pinOfKey(socket.getPeerX509Certificate()!.publicKey);
}

export const until = (): number => Date.now() + 60_000;

/** What a joiner gets: the exporter's pin, or why not. */
export async function joinAs(
  folder: ConfigFolder,
  port: number,
  { code, name = 'kigbook' }: { code: string; name?: string },
): Promise<string> {
  try {
    const options = { identity: loadIdentity(folder), code: readCode(code)!, name, stop: never, check: (): void => {} };
    return await join({ host: '127.0.0.1', port }, options);
  } catch (error) {
    assert.instance(error, Failure);
    return (error as Failure).message.replace(/ seps:\/\/127\.0\.0\.1:\d+/, '');
  }
}
