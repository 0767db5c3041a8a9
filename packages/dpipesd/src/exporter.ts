// The exporter that a dpipesd of its own has: dexport(1), for what dpipesd claims and nothing else.
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import type { Readable } from 'node:stream';
import { printDiagnostics } from '@dipus/cli/output';
import { Failure } from '@dipus/proto/failure';
import { nodePort } from '@dipus/proto/node-uri';
import { guardGroup, readyGuard } from '@dipus/programs/guard';
import { startProcess } from '@dipus/programs/start-process';

export interface Exporter {
  /** The lines that it has printed: URIs at which it listens. */
  readonly lines: string;
  /** It has ended by itself; rejects with Failure. */
  readonly lost: Promise<never>;
  end(): Promise<void>;
}

export interface ExporterOptions {
  /** `ADDR` or `ADDR:PORT` each; all addresses without one. */
  readonly listen: readonly string[];
  readonly isVerbose: boolean;
  /** Where it registers. */
  readonly registry?: string | undefined;
}

/** Starts it, and waits until it listens. Rejects with Failure. */
export async function startExporter({ listen, isVerbose, registry }: ExporterOptions): Promise<Exporter> {
  const addresses = (listen.length > 0 ? listen : everywhere()).flatMap((text) => ['-l', withPort(text)]);
  const flags = [
    '--plain',
    ...addresses,
    ...(process.geteuid!() === 0 ? ['--user', 'root'] : []),
    ...(isVerbose ? ['-v'] : []),
    ...(registry === undefined ? [] : ['-r', registry]),
  ];
  readyGuard();
  const child = startProcess('dexport', [...flags, 'dpipesd', 'dp/*'], { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const release = guardGroup(child.pid);
  // What it says comes over this process, whose stderr may change.
  child.stderr!.on('data', (bytes: Buffer) => printDiagnostics(bytes));
  const ended = once(child, 'exit').catch((error: unknown) => {
    throw new Failure('start', 'dexport', error).withHint('--plain needs it on PATH');
  });
  void ended.finally(release).catch(() => {});
  const lost = ended.then(([code, signal]): never => {
    throw new Failure('go on', 'without its exporter', `dexport ended with ${signal ?? `status ${code}`}`);
  });
  lost.catch(() => {});
  const lines = await readLines(child.stdout!, addresses.length / 2);
  // Where it has ended before, that is the news.
  if (lines === undefined) return lost;
  return {
    lines,
    lost,
    end: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** So many lines; undefined where there are no more before. */
function readLines(stream: Readable, count: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.split('\n').length > count) resolve(text);
    });
    stream.on('close', () => resolve(undefined));
  });
}

function everywhere(): string[] {
  const has6 = Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === 'IPv6'));
  return has6 ? ['0.0.0.0', '::'] : ['0.0.0.0'];
}

function withPort(text: string): string {
  if (/^\[.*\]$|^[^:]*$/.test(text)) return `${text}:${nodePort}`;
  return /^[^[\]]*:[^[\]]*:/.test(text) ? `[${text}]:${nodePort}` : text;
}
