// What dipusd knows of the tools that it starts, by their names and arguments: what their pages say, and no more.
import { timing } from '@dipus/proto/timing';
import type { Stage } from './job-lines.ts';

// They print what happens, and nothing when they begin.
const silent = new Set(['dreap', 'ddiscover', 'dimport']);

/** Whether a line of its stdout says that it is ready. */
export function saysReady(stage: Stage, line: string): boolean {
  return readsServices(stage) ? line === 'ready' : true;
}

/** After what time it counts as ready though it has not said so. */
export function readyAfterMs({ tool }: Stage): number {
  return silent.has(tool) ? timing.standMs : timing.headMs;
}

/** Whether it reads a file again at SIGHUP, which ends every other tool. */
export function readsAgain(stage: Stage): boolean {
  return readsServices(stage) && !stage.args.includes('-');
}

/** An exporter with the way to speak that its line has not named. */
export function speaking(stage: Stage, isSeps: boolean): Stage {
  const { tool, args } = stage;
  const isOpen = tool === 'dexport' && !args.includes('--seps') && !args.includes('--plain');
  return isOpen && isSeps ? { tool, args: ['--seps', ...args] } : stage;
}

/** A daemon that would leave for the background stays. */
export function staying(stage: Stage): Stage {
  const { tool, args } = stage;
  return tool === 'dpipesd' && !args.includes('--foreground') ? { tool, args: ['--foreground', ...args] } : stage;
}

function readsServices({ tool, args }: Stage): boolean {
  return tool === 'dserve' && args.includes('--from');
}
