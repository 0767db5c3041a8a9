import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Context } from '@dipus/cli/run';
import { parseAsk } from '@dipus/proto/ask';
import { codeOf, Failure } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { aborted } from '@dipus/proto/waiting';
import type { ConfigFolder } from '@dipus/seps/config-folder';
import { findServices } from '@dipus/tree/list';
import { probeService } from '@dipus/tree/probe';
import type { Tree } from '@dipus/tree/root';
import type { Arguments } from './args.ts';
import { parseJobFile } from './job-lines.ts';
import { Jobs } from './jobs.ts';
import { defaultTools, jobsWanted, type JobRequest } from './jobs-wanted.ts';
import { endLeftovers, keeperMark } from './leftovers.ts';
import type { Log } from './log.ts';
import { SepsWay } from './seps-way.ts';
import { serveTable } from './service.ts';
import { formatJson, formatTable } from './table.ts';

export interface DipusdOptions {
  readonly context: Context;
  readonly log: Log;
  readonly tree: Tree;
  readonly host: string;
  /** Where the files of dipusd, services and keys are. */
  readonly folder: ConfigFolder;
}

/** Keeps everything running until it is stopped. Throws Failure where it cannot begin. */
export async function dipusd(args: Arguments, { context, log, tree, host, folder }: DipusdOptions): Promise<void> {
  const { stop, stopNow } = context;
  await refuseSecond(tree, host);
  const file = newJobSource(args, { log, folder });
  let wanted = file.read();
  const jobs = new Jobs({ env: { ...process.env, ...keeperMark(tree.root) }, log });
  // One change after the other.
  let changing = Promise.resolve();
  const inTurn = (work: () => Promise<void>): void => void (changing = changing.then(work).catch(log.warn));
  const change = (): Promise<void> => jobs.change(wanted(), stop);
  const readAgain = async (): Promise<void> => {
    context.reloading();
    try {
      wanted = file.read();
      jobs.again();
    } catch (error) {
      log.warn(error);
    }
    await change();
    await Promise.race([jobs.settled(), aborted(stop)]);
    if (!stop.aborted) context.ready('ready\n');
  };
  context.interceptSignals((signal) => {
    const isReload = signal === 'SIGHUP' && !stop.aborted;
    if (isReload) inTurn(readAgain);
    return isReload;
  });
  const left = await endLeftovers(tree.root, stop);
  if (left > 0) log.warn(`ended ${left} processes of a dipusd that was killed`);
  const table = (): string => (args.isJson ? formatJson : formatTable)(jobs.rows);
  const service = await serveTable(tree, { host, stop, table, warn: log.warn });
  try {
    inTurn(change);
    await changing;
    file.seps.watch(() => inTurn(change));
    await Promise.race([jobs.settled(), aborted(stop)]);
    if (!stop.aborted) context.ready('ready\n');
    await aborted(stop);
  } finally {
    file.seps.close();
    service.release();
    await changing;
    const isOrderly = stop.reason === 'SIGTERM';
    await jobs.end(isOrderly ? 'SIGTERM' : 'SIGINT', isOrderly ? timing.graceMs : timing.killMs, stopNow);
  }
}

interface JobSource {
  readonly seps: SepsWay;
  /** Reads the file, and returns what it asks for, as things stand whenever that is called. Throws Failure. */
  read(): () => readonly JobRequest[];
}

function newJobSource({ file }: Arguments, { log, folder }: Pick<DipusdOptions, 'log' | 'folder'>): JobSource {
  const path = file ?? join(folder.dir, 'dipusd');
  const services = join(folder.dir, 'services');
  const seps = new SepsWay(folder, log.warn);
  const read = (): (() => readonly JobRequest[]) => {
    const lines = parseJobFile(readText(path, file !== undefined));
    const tools = defaultTools();
    const strange = lines.leftOut.filter(({ tool }) => !tools.includes(tool));
    const unknown = strange.map(({ line, tool }) => ({ line, reason: `${tool} would not run: -NAME is one of ${tools.join(', ')}` }));
    for (const { line, reason } of [...lines.faults, ...unknown]) log.warn(new Failure('read', `${path}:${line}`, reason));
    return () => jobsWanted(lines, { services: existsSync(services) ? services : undefined, isSeps: seps.isOpen });
  };
  return { seps, read };
}

function readText(path: string, mustBe: boolean): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (!mustBe && codeOf(error) === 'ENOENT') return '';
    throw new Failure('read', path, error);
  }
}

/** Two of one user would get into each other's way. Throws Failure. */
async function refuseSecond(tree: Tree, host: string): Promise<void> {
  for (const { entry } of findServices(tree, parseAsk('local'), false)) {
    const isOurs = entry.protocol === '' && entry.name === 'dipusd' && entry.host === host && entry.uid === process.geteuid!();
    if (!isOurs) continue;
    const state = await probeService({ file: entry.file, trustedBy: tree });
    if (state === 'alive' || state === 'busy') throw new Failure('start', 'dipusd', `it runs already, and answers at ${entry.file}`);
  }
}
