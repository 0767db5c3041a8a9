import type { Readable } from 'node:stream';

const mostBytes = 64 * 1024 * 1024;

/**
 * Gives each line of a stream to `take`, without its end, until `take` returns true: then the rest stays in the stream, paused.
 * A last line without an end is none. Of a line without end only the last 64 MiB are kept.
 */
export function takeLines(stream: Readable, take: (line: string) => boolean): void {
  let parts: Buffer[] = [];
  let sizeBytes = 0;
  const onData = (chunk: Buffer): void => {
    let from = 0;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      const line = Buffer.concat([...parts, chunk.subarray(from, at)]).toString();
      parts = [];
      sizeBytes = 0;
      from = at + 1;
      if (!take(line)) continue;
      stream.off('data', onData);
      stream.pause();
      if (from < chunk.length) stream.unshift(chunk.subarray(from));
      return;
    }
    parts.push(chunk.subarray(from));
    sizeBytes += chunk.length - from;
    if (sizeBytes > mostBytes) parts = [];
  };
  stream.on('data', onData).resume();
}
