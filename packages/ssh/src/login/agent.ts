import { connect } from 'node:net';
import { once } from 'node:events';
import { codeOf, reasonOf } from '@dipus/proto/failure';
import { readBytes, wireString } from './public-key.ts';

/** A key that an agent holds. */
export interface AgentKey {
  readonly blob: Buffer;
  readonly comment: string;
}

/** An agent cannot be used; the message is the reason. */
export class AgentError extends Error {}

// draft-ietf-sshm-ssh-agent, 4.1 and 4.6
const listRequest = 11;
const listAnswer = 12;
const signRequest = 13;
const signAnswer = 14;
const mostAnswerBytes = 1 << 20;
const signFlags: Record<string, number> = { 'rsa-sha2-256': 2, 'rsa-sha2-512': 4 };

/** The keys of the agent at a socket. Rejects with AgentError. */
export async function listAgentKeys(socket: string, stop: AbortSignal): Promise<AgentKey[]> {
  const answer = await ask(socket, Buffer.from([listRequest]), stop);
  if (answer[0] !== listAnswer || answer.length < 5) throw new AgentError('it does not list its keys');
  const keys: AgentKey[] = [];
  for (let from = 5; keys.length < answer.readUInt32BE(1);) {
    const blob = readBytes(answer, from);
    const comment = blob && readBytes(answer, blob.next);
    if (!blob || !comment) throw new AgentError('its list of keys is cut');
    keys.push({ blob: Buffer.from(blob.bytes), comment: comment.bytes.toString() });
    from = comment.next;
  }
  return keys;
}

/** Has the agent sign; the result is the bare signature, as authPK takes it. It may ask its user first. Rejects with AgentError. */
export async function signByAgent(
  socket: string,
  { blob, bytes, algorithm }: { blob: Buffer; bytes: Buffer; algorithm: string },
  stop: AbortSignal,
): Promise<Buffer> {
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(signFlags[algorithm] ?? 0);
  const answer = await ask(socket, Buffer.concat([Buffer.from([signRequest]), wireString(blob), wireString(bytes), flags]), stop);
  const signed = answer[0] === signAnswer ? readBytes(answer, 1)?.bytes : undefined;
  const type = signed && readBytes(signed, 0);
  const signature = type && readBytes(signed, type.next)?.bytes;
  if (!signature) throw new AgentError('the agent refuses to sign');
  if (type.bytes.toString() !== algorithm) throw new AgentError(`the agent signs as ${type.bytes.toString()}, not as ${algorithm}`);
  if (algorithm.startsWith('ecdsa-') && !isPair(signature)) throw new AgentError('the signature of the agent is damaged');
  return Buffer.from(signature);
}

/** Whether an ECDSA signature is its two numbers and nothing else (RFC 5656 3.1.2). */
function isPair(signature: Buffer): boolean {
  const first = readBytes(signature, 0);
  return first !== undefined && readBytes(signature, first.next)?.next === signature.length;
}

/** One request and its answer, without its length. */
async function ask(path: string, request: Buffer, stop: AbortSignal): Promise<Buffer> {
  const socket = connect(path);
  const abort = (): unknown => socket.destroy();
  stop.addEventListener('abort', abort);
  try {
    await once(socket, 'connect');
    socket.write(wireString(request));
    let received = Buffer.alloc(0);
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk as Buffer]);
      if (received.length >= 4 && received.readUInt32BE(0) > mostAnswerBytes) break;
      const whole = readBytes(received, 0);
      if (whole) return whole.bytes;
    }
    throw new AgentError('the agent closed the connection');
  } catch (error) {
    throw codeOf(error) === undefined ? error : new AgentError(`${path}: ${reasonOf(error)}`);
  } finally {
    stop.removeEventListener('abort', abort);
    socket.destroy();
  }
}
