import { publishedPath } from './name.ts';

/**
 * Files at which something listens, from the text of /proc/net/unix (proc(5)); the names under which our sockets were bound are read as
 * their final ones. Only of one network namespace, and only a hint that spares connections: never a ground to remove or to keep.
 */
export function parseListening(text: string): Set<string> {
  const files = new Set<string>();
  for (const [, path] of text.matchAll(listeningLine)) files.add(publishedPath(path!));
  return files;
}

// Num RefCount Protocol Flags Type St Inode Path; 00010000 is __SO_ACCEPTCON, 0001 SOCK_STREAM.
const listeningLine = /^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ 00010000 0001 [0-9A-F]+ +\d+ (\/.*)$/gm;
