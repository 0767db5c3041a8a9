import { publishedPath } from './name.ts';

/**
 * Files at which something listens, from the text of /proc/net/unix (proc(5)); the names under which our sockets were bound are read as
 * their final ones. Only of one network namespace, and only a hint that spares connections: never a ground to remove or to keep.
 */
export function parseListening(text: string): Set<string> {
  // There may be very many: only what may be one of our names for binding is looked at here.
  const files = new Set(text.match(listeningFile));
  for (const path of text.match(listeningHidden) ?? []) files.add(publishedPath(path));
  return files;
}

// Num RefCount Protocol Flags Type St Inode Path; 00010000 is __SO_ACCEPTCON, 0001 SOCK_STREAM.
const before = '(?<=^[0-9a-f]+: [0-9A-F]+ [0-9A-F]+ 00010000 0001 [0-9A-F]+ +\\d+ )';
const listeningFile = new RegExp(`${before}/.*$`, 'gm');
const listeningHidden = new RegExp(`${before}/.*/\\.[^/\n]*$`, 'gm');
