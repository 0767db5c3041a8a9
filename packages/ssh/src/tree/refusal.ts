// Why a socket on the remote host could not be opened: sshd gives one answer for every cause, so the files are looked at.
import { systemError } from '@dipus/proto/failure';
import { parseListening } from '@dipus/proto/listening';
import { isSocket, mayOpen } from './remote-trust.ts';
import { SftpError } from './sftp-answer.ts';
import type { Sftp } from './sftp.ts';
import type { RemoteFile } from './sftp-packet.ts';

const maxListBytes = 16 << 20;

/** The cause, with the code of the system's error that it stands for; ENOTSUP: sshd opens no sockets. `hasForwarded`: one was. */
export async function findCause(sftp: Sftp, path: string, hasForwarded: boolean): Promise<Error> {
  let file: RemoteFile;
  let you: number;
  try {
    [file, { uid: you }] = await Promise.all([sftp.lstat(path), sftp.stat('.')]);
  } catch (error) {
    if (error instanceof SftpError) return error;
    throw error;
  }
  if (!isSocket(file)) return systemError('ENOTSOCK', 'is not a socket');
  const may = mayOpen(file, you);
  if (may === false) return systemError('EACCES', 'permission denied');
  const listening = await listeningFiles(sftp);
  if (listening === undefined) {
    return systemError('ECONNREFUSED', hasForwarded ? 'connection refused' : 'connection refused, or its sshd forwards no sockets');
  }
  if (!listening.has(path)) return systemError('ECONNREFUSED', 'connection refused');
  // Where a group decides, only the remote system knows.
  if (may === undefined)
    return systemError('EACCES', hasForwarded ? 'permission denied' : 'permission denied, or its sshd forwards no sockets');
  if (hasForwarded) return systemError('EAGAIN', 'its queue is full');
  return systemError('ENOTSUP', 'its sshd forwards no sockets (AllowStreamLocalForwarding, DisableForwarding)');
}

/** Where something listens on the remote host, as /proc/net/unix tells (proc(5)); undefined where there is none. */
async function listeningFiles(sftp: Sftp): Promise<ReadonlySet<string> | undefined> {
  const text = await sftp.read('/proc/net/unix', maxListBytes).catch(() => undefined);
  if (text === undefined) return undefined;
  return parseListening(text.toString());
}
