import { readdirSync, readFileSync } from 'node:fs';

/**
 * What proc_pid_stat(5) says of a process behind the name of its program, which may have anything in it: first its state, its parent and
 * its group. Empty where there is none, also where it is dead and whoever has it now does not wait for it, and where there is no /proc.
 */
export function processStat(pid: number): string[] {
  const fields = textOf(`/proc/${pid}/stat`).split(') ').at(-1)!.split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? [] : fields;
}

/** Every process that can be seen. Throws where there is no /proc. */
export function processes(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // It has ended, or is another user's.
    return '';
  }
}
