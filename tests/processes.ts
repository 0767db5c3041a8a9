// What the kernel tells of processes.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** Resident memory of a process, in bytes; proc_pid_status(5). */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;
}

/** The most memory that a process has had, in bytes; 0 where it has ended. */
export function peakBytes(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** The words of a process, blanks between them; empty where it has ended. */
export function commandOf(pid: number): string {
  return textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
}

/** The processes that a process has started and that still are its children. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => textOf(`/proc/${pid}/task/${task}/children`).split(' '))
    .filter(Boolean)
    .map(Number);
}

/** What runs for a service or a dpipesd. Of its children the guard is none of them: the shell that ends their groups when it is killed. */
export function programsOf(pid: number): number[] {
  return childrenOf(pid).filter((child) => commandOf(child) !== '' && !isGuard(child));
}

export function guardsOf(pid: number): number[] {
  return childrenOf(pid).filter(isGuard);
}

/** The shell that ends the groups of a service's programs when that is killed; before it is one, it has the words of the service. */
export function isGuard(pid: number): boolean {
  return commandOf(pid).includes('groups=');
}

/** All that is below a process, to the last. */
export function descendantsOf(pid: number): number[] {
  try {
    return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
  } catch {
    // It has just ended.
    return [];
  }
}

/** How many descriptors a process has open. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** How many sockets a process has. */
export function socketsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => linkOf(`/proc/${pid}/fd/${fd}`).startsWith('socket:')).length;
}

/** What a file says; empty where it has gone, as those of threads and descriptors go at any time. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Where a link leads; empty where it has gone. */
export function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
