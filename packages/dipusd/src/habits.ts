// What dipusd knows of the tools that it starts, by their names and arguments: what their pages say, and no more.
import { timing } from '@dipus/proto/timing';
import type { JobPart } from './job-lines.ts';

// They print what happens, and nothing when they begin.
const silent = new Set(['dreap', 'ddiscover', 'dimport']);

/** Whether a line of its stdout says that it is ready. */
export function saysReady(part: JobPart, line: string): boolean {
  return readsServices(part) ? line === 'ready' : true;
}

/** After what time it counts as ready though it has not said so. */
export function readyAfterMs({ tool }: JobPart): number {
  return silent.has(tool) ? timing.standMs : timing.headMs;
}

/** Whether it reads a file again at SIGHUP, which ends every other tool. */
export function readsAgain(part: JobPart): boolean {
  return readsServices(part) && !part.args.includes('-');
}

/** An exporter with the way to speak that its line has not named. */
export function speaking(part: JobPart, isSeps: boolean): JobPart {
  const { tool, args } = part;
  const isOpen = tool === 'dexport' && !args.includes('--seps') && !args.includes('--plain');
  return isOpen && isSeps ? { tool, args: ['--seps', ...args] } : part;
}

/** A daemon that would leave for the background stays. */
export function staying(part: JobPart): JobPart {
  const { tool, args } = part;
  return tool === 'dpipesd' && !args.includes('--foreground') ? { tool, args: ['--foreground', ...args] } : part;
}

function readsServices({ tool, args }: JobPart): boolean {
  return tool === 'dserve' && args.includes('--from');
}
