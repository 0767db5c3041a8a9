// What the messages of a WebSocket mean to the stream that they carry: dws(1), Subprotocols.
import type { Framing } from '@dipus/ipc/ask-daemon';
import { Refused } from '@dipus/ipc/answer';
import { encodeIpcFrame, IpcFrameDecoder, messageKind, type Era, type FrameKind, type IpcFrame } from '@dipus/proto/ipc-frame';

/** Of a WebSocket; empty: none was agreed upon. */
export type Subprotocol = 'dipus' | 'ipc' | 'ipc.json' | 'ipc.cbor' | '';

/** The longest message, either way. */
export const maxMessageBytes: number = 1 << 20;

/** A message, or the lack of one, that breaks the connection; `closeCode` tells the other side (RFC 6455, 7.4.1). */
export class MessageFault extends Refused {
  readonly closeCode: number;
  constructor(closeCode: number, message: string) {
    super(message);
    this.closeCode = closeCode;
  }
}

/** Text is sent as text, bytes as binary. */
export type Message = string | Buffer;

export interface Coding {
  /** Each chunk is one message of libipc. */
  readonly isFramed: boolean;
  /** An empty message ends a direction of ours, and Close only both. */
  readonly marksEnds: boolean;
  /** What a message adds to the stream; empty: its end. Throws MessageFault. */
  decode(data: Buffer, isBinary: boolean): Buffer;
  /** Throws MessageFault, or IpcFrameError. */
  encode(chunk: Buffer): readonly Message[];
  /** What was encoded ends inside a message of libipc. */
  isInside(): boolean;
}

/** Which of those that were offered, in their order, fits a stream; none fits by itself. Undefined: they do not fit. */
export function chooseSubprotocol(offered: readonly string[], framing: Framing): Subprotocol | undefined {
  if (offered.length === 0) return '';
  const fitting: readonly string[] = subprotocolsOf(framing);
  return offered.find((name) => fitting.includes(name)) as Subprotocol | undefined;
}

export function subprotocolsOf(framing: Framing): readonly Subprotocol[] {
  return framing === 'bytes' ? ['dipus'] : ['dipus', 'ipc', 'ipc.cbor', 'ipc.json'];
}

/** `dipus` carries frames as bytes. */
export async function codingOf(name: Subprotocol, framing: Framing): Promise<Coding> {
  if (name === 'dipus') return dipus;
  if (framing === 'bytes') return plainBytes;
  if (name === 'ipc') return framedBy(framing, payloadOnly);
  if (name === 'ipc.json') return framedBy(framing, json);
  const cbor = await loadCbor();
  return framedBy(framing, name === 'ipc.cbor' ? cbor : lastReceived(cbor));
}

const dipus: Coding = {
  isFramed: false,
  marksEnds: true,
  decode: (data, isBinary) => {
    if (!isBinary) throw new MessageFault(1003, 'a text message is no part of the subprotocol dipus');
    return data;
  },
  encode: slices,
  isInside: () => false,
};

const plainBytes: Coding = { ...dipus, marksEnds: false, decode: (data) => data };

function slices(bytes: Buffer): readonly Buffer[] {
  const count = Math.ceil(bytes.length / maxMessageBytes);
  return Array.from({ length: count }, (_, at) => bytes.subarray(at * maxMessageBytes, (at + 1) * maxMessageBytes));
}

interface Frame {
  readonly payload: Uint8Array;
  readonly userType: number;
}

/** A way to write one frame as a message. */
interface Notation {
  read(data: Buffer, isBinary: boolean): Frame;
  write(frame: Frame): Message;
}

function framedBy(era: Era, notation: Notation): Coding {
  const decoder = new IpcFrameDecoder(era);
  return {
    isFramed: true,
    marksEnds: false,
    decode: (data, isBinary) => {
      const { payload, userType } = notation.read(data, isBinary);
      const kind: FrameKind = { ...messageKind, userType };
      return encodeIpcFrame(era, payload, kind);
    },
    encode: (chunk) => decoder.push(chunk).map((frame: IpcFrame) => checkLength(notation.write(frame))),
    isInside: () => decoder.restBytes > 0,
  };
}

function checkLength(message: Message): Message {
  const length = Buffer.byteLength(message);
  if (length > maxMessageBytes) throw new MessageFault(1011, `a message of ${length} bytes is over the limit of ${maxMessageBytes}`);
  return message;
}

const payloadOnly: Notation = {
  read: (payload, isBinary) => {
    if (!isBinary) throw new MessageFault(1003, 'a text message is no part of the subprotocol ipc');
    return { payload, userType: messageKind.userType };
  },
  write: ({ payload }) => Buffer.from(payload),
};

// The number that the messages of libipc's own WebSocket daemon have.
const mtype = 1;

const json: Notation = {
  read: (data, isBinary) => {
    if (isBinary) throw new MessageFault(1003, 'a binary message is no part of the subprotocol ipc.json');
    const fields = entriesOf(() => new Map(Object.entries(JSON.parse(data.toString()) as object)));
    const payload = fields.get('payload');
    if (typeof payload !== 'string') throw new MessageFault(1007, 'a message has no payload that is text');
    return { payload: Buffer.from(payload), userType: userTypeOf(fields) };
  },
  write: ({ payload, userType }) => {
    try {
      return JSON.stringify({ mtype, utype: userType, payload: utf8.decode(payload) });
    } catch {
      throw new MessageFault(1011, 'a message of the service is not text: take ipc.cbor');
    }
  },
};

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

async function loadCbor(): Promise<Notation> {
  const { decode, encode } = await import('cborg');
  return {
    read: (data, isBinary) => {
      if (!isBinary) throw new MessageFault(1003, 'a text message is no part of the subprotocol ipc.cbor');
      const fields = entriesOf(() => decode(data, { useMaps: true }) as Map<unknown, unknown>);
      const payload = fields.get('payload');
      if (!(payload instanceof Uint8Array)) throw new MessageFault(1007, 'a message has no payload that is a byte string');
      return { payload, userType: userTypeOf(fields) };
    },
    write: ({ payload, userType }) => Buffer.from(encode({ mtype, utype: userType, payload: new Uint8Array(payload) })),
  };
}

/** Text is JSON, binary is CBOR, and so are the answers. */
function lastReceived(cbor: Notation): Notation {
  let last = json;
  return {
    read: (data, isBinary) => {
      last = isBinary ? cbor : json;
      return last.read(data, isBinary);
    },
    write: (frame) => last.write(frame),
  };
}

function entriesOf(parse: () => Map<unknown, unknown>): Map<unknown, unknown> {
  try {
    const fields = parse();
    if (fields instanceof Map) return fields;
  } catch {
    // Whatever is wrong with it is the fault of its sender.
  }
  throw new MessageFault(1007, 'a message is no map of mtype, utype and payload');
}

function userTypeOf(fields: Map<unknown, unknown>): number {
  if ((fields.get('mtype') ?? mtype) !== mtype) throw new MessageFault(1007, `a message has another mtype than ${mtype}`);
  const userType = fields.get('utype') ?? messageKind.userType;
  if (typeof userType !== 'number' || !Number.isInteger(userType) || userType < 0 || userType > 255)
    throw new MessageFault(1007, 'a message has a utype that is not 0 to 255');
  return userType;
}
