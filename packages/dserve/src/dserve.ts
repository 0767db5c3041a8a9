import { Failure } from '@dipus/cli/errors';
import { timing } from '@dipus/proto/timing';
import { groupId } from '@dipus/tree/accounts';
import type { Tree } from '@dipus/tree/root';
import { Descriptors } from '@dipus/cli/descriptors';
import type { ServiceRequest } from './service-request.ts';
import { startService, type RunningService, type ServiceReport } from './service.ts';

/** A service that was asked for, and how trouble with it is to be named. */
export interface Asked {
  readonly request: ServiceRequest;
  /** What stands before the reason, where the service comes from a file: `services:3`. */
  readonly origin?: string;
}

export interface DserveOptions {
  readonly graceMs?: number;
  /** Ends the services; the reason is the signal's name. After SIGTERM open streams may finish. */
  readonly stop: AbortSignal;
  /** Gives up what still takes time. */
  readonly stopNow: AbortSignal;
  readonly report: ServiceReport;
  /** Called with each path when its service is ready. */
  claimed(path: string): void;
}

/** Serves until it is stopped. A service of a file that cannot be made is warned of, and the rest are served. Throws Failure where none can. */
export async function dserve(tree: Tree, asked: readonly Asked[], options: DserveOptions, ready: () => void): Promise<void> {
  const descriptors = new Descriptors();
  const shared = { descriptors, report: options.report, stop: options.stop };
  const services: RunningService[] = [];
  for (const { request, origin } of asked) {
    if (options.stop.aborted) break;
    try {
      const service = await startService(tree, request, wantedOf(request), shared);
      services.push(service);
      if (service.isLong) options.report.warn(new Failure('serve', service.path, 'foreign tools cannot reach a path of this length'));
      options.claimed(service.path);
    } catch (error) {
      if (options.stop.aborted) break;
      if (origin === undefined || !(error instanceof Failure)) throw await closeAll(services).then(() => error);
      options.report.warn(new Failure('read', origin, error.message, error.hint));
    }
  }
  if (services.length === 0 && !options.stop.aborted) throw new Failure('serve', 'services', 'none is left to serve');
  descriptors.measure();
  options.report.explain(`${descriptors.limit} descriptors: connections may hold ${descriptors.capacity} of them`);
  ready();
  await aborted(options.stop);
  await end(services, options);
}

function wantedOf(request: ServiceRequest): Parameters<typeof startService>[2] {
  const { area, protocol, name, host, instance, mode, group } = request;
  const gid = group === undefined ? undefined : groupId(group);
  if (group !== undefined && gid === undefined) throw new Failure('use group', group, 'there is no such group');
  const optional = { ...(instance !== undefined && { instance }), ...(mode !== undefined && { mode }), ...(gid !== undefined && { gid }) };
  return { area, protocol, name, host, ...optional };
}

/** Out of the tree at once; then the programs: finished within the grace, or ended. */
async function end(services: readonly RunningService[], options: DserveOptions): Promise<void> {
  const finished = closeAll(services);
  const graceMs = options.stop.reason === 'SIGTERM' ? (options.graceMs ?? timing.graceMs) : 0;
  await Promise.race([finished, delay(graceMs), aborted(options.stopNow)]);
  const now = (): void => services.forEach((service) => service.endPrograms(true));
  if (options.stopNow.aborted) now();
  else services.forEach((service) => service.endPrograms(false));
  options.stopNow.addEventListener('abort', now);
  // A program that even KILL does not end must not hold us.
  await Promise.race([finished, delay(timing.killMs + timing.partingMs)]);
}

function closeAll(services: readonly RunningService[]): Promise<unknown> {
  return Promise.all(services.map((service) => service.close()));
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
