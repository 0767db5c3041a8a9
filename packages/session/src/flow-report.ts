import type { StageFlow } from '@dipus/proto/pipe-link';
import type { CopyState } from '@dipus/relay/copier-state';

/** What can say how far it is; undefined when that cannot be seen, or not any more. */
interface Looked {
  look(): CopyState | undefined;
}

export interface FlowReportOptions {
  readonly everyMs: number;
  readonly input: Looked | undefined;
  readonly output: Looked | undefined;
  send(flow: StageFlow): void;
}

/** Tells every so often how far a running stage is. Returns how to end that, behind a last report. */
export function reportFlow({ everyMs, input, output, send }: FlowReportOptions): () => void {
  let [came, went]: (number | undefined)[] = [undefined, undefined];
  const report = (): void => {
    const [reading, writing] = [input?.look(), output?.look()];
    came = reading?.bytes ?? came;
    went = writing?.bytes ?? went;
    send({ ...(came !== undefined && { in: came }), ...(went !== undefined && { out: went }), waits: waitsFor(reading, writing) });
  };
  const timer = setInterval(report, everyMs).unref();
  return () => {
    clearInterval(timer);
    report();
  };
}

function waitsFor(reading: CopyState | undefined, writing: CopyState | undefined): StageFlow['waits'] {
  if (writing?.isWriting) return 'output';
  return reading?.isWriting === false ? 'input' : 'program';
}
