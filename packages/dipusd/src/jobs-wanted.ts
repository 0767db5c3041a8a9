// What is to run: what runs everywhere, changed by the file of dipusd.
import { speaking, staying } from './habits.ts';
import type { JobFile, JobLine, JobPart } from './job-lines.ts';

/** Programs to keep running. */
export interface JobRequest extends JobLine {
  /** All that the first one reads. */
  readonly input?: string;
}

export interface Surroundings {
  /** The file of services; undefined: it is not there. */
  readonly services: string | undefined;
  /** Whether anybody could come by TLS: a key is authorised, or an invitation is open. */
  readonly isSeps: boolean;
}

const builtInServices = 'echo cat\ndate date\n';

function defaultJobs({ services }: Surroundings): JobRequest[] {
  return [
    job('dreap', '-w'),
    job('dexport'),
    { parts: [part('ddiscover', '-w'), part('dimport', '--seps', '-')] },
    services === undefined ? { ...job('dserve', '--from', '-'), input: builtInServices } : job('dserve', '--from', services),
  ];
}

/**
 * The jobs in the order in which they begin. Lines whose first tool is that of a default job stand in its place; the others come behind. An
 * exporter for which its line does not say how it speaks, speaks TLS as soon as somebody could come by it.
 */
export function jobsWanted({ jobs, leftOut }: JobFile, surroundings: Surroundings): JobRequest[] {
  const left = new Set(leftOut.map(({ tool }) => tool));
  const firstOf = ({ parts }: JobLine): string => parts[0]!.tool;
  const defaults = defaultJobs(surroundings);
  const names = new Set(defaults.map(firstOf));
  const standing = defaults.flatMap((one) => {
    const instead = jobs.filter((each) => firstOf(each) === firstOf(one));
    if (instead.length > 0) return instead;
    return one.parts.some(({ tool }) => left.has(tool)) ? [] : [one];
  });
  const others = jobs.filter((each) => !names.has(firstOf(each)));
  return [...standing, ...others].map((one) => ({
    ...one,
    parts: one.parts.map((each) => staying(speaking(each, surroundings.isSeps))),
  }));
}

/** The tools that a line may leave out. */
export function defaultTools(): string[] {
  return defaultJobs({ services: undefined, isSeps: false }).flatMap(({ parts }) => parts.map(({ tool }) => tool));
}

function job(tool: string, ...args: string[]): JobRequest {
  return { parts: [part(tool, ...args)] };
}

function part(tool: string, ...args: string[]): JobPart {
  return { tool, args };
}
