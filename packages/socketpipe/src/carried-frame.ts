// Where the data goes through the login command, both directions of it carry frames:
//
//   +------+-------------+----------------+
//   | type | length (4)  | length bytes   |     type: d data, e end of data (empty), m message (JSON),
//   +------+-------------+----------------+           a acknowledgement (4 bytes: how much data was taken)
//                                               numbers are unsigned and big-endian

export type FrameType = 'a' | 'd' | 'e' | 'm';

const headBytes = 5;
const mostMessageBytes = 64 * 1024;

export function encodeFrameHead(type: FrameType, lengthBytes: number): Buffer {
  const head = Buffer.alloc(headBytes);
  head.write(type, 'latin1');
  head.writeUInt32BE(lengthBytes, 1);
  return head;
}

/**
 * Takes frames apart, however they were cut on the way. Data is given on as it comes, in parts of a frame; other frames when they are
 * whole. Throws when what comes are no frames.
 */
export function frameReader(take: (type: FrameType, bytes: Buffer) => void): (chunk: Buffer) => void {
  let head = Buffer.alloc(0);
  let type: FrameType = 'e';
  let left = 0;
  let whole: Buffer[] = [];

  const readHead = (chunk: Buffer): Buffer => {
    const part = chunk.subarray(0, headBytes - head.length);
    head = Buffer.concat([head, part]);
    if (head.length === headBytes) {
      type = head.toString('latin1', 0, 1) as FrameType;
      left = head.readUInt32BE(1);
      if (!'adem'.includes(type) || (type !== 'd' && left > mostMessageBytes) || (type === 'a' && left !== 4)) {
        throw new Error('it sent something that is not a frame');
      }
      whole = [];
      if (left === 0) finish();
    }
    return chunk.subarray(part.length);
  };
  const readBody = (chunk: Buffer): Buffer => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (type === 'd') take(type, part);
    else whole.push(part);
    if (left === 0) finish();
    return chunk.subarray(part.length);
  };
  const finish = (): void => {
    head = Buffer.alloc(0);
    if (type !== 'd') take(type, Buffer.concat(whole));
  };
  return (chunk) => {
    for (let rest = chunk; rest.length > 0;) rest = head.length < headBytes ? readHead(rest) : readBody(rest);
  };
}
