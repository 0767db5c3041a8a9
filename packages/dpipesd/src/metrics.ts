// The figures of a dpipesd as OpenMetrics 1.0.0 has them, which Prometheus reads.
import type { App } from './app.ts';
import type { Places } from './places.ts';
import type { SeenStages } from './seen-stages.ts';

/** What is counted. */
export interface Counted {
  readonly version: string;
  readonly host: string;
  /** As whom programs run. */
  readonly user: string;
  /** When it began, in milliseconds since 1970. */
  readonly since: number;
  readonly places: Places;
  readonly apps: readonly App[];
  readonly seen: SeenStages;
}

/** A family: its name, type and help, and its samples, each a suffix, labels and a value. */
interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'info';
  readonly help: string;
  readonly samples: readonly (readonly [labels: Readonly<Record<string, string>>, value: number])[];
}

const suffixes = { gauge: '', counter: '_total', info: '_info' };

export function formatMetrics(subject: Counted): string {
  return `${familiesOf(subject).map(formatFamily).join('')}# EOF\n`;
}

function familiesOf({ version, host, user, since, places, apps, seen }: Counted): Family[] {
  const running = seen.list().filter(({ state }) => state === 'running');
  const sum = (half: 'in' | 'out'): number => running.reduce((bytes, stage) => bytes + (stage[half] ?? 0), 0);
  return [
    { name: 'dpipesd', type: 'info', help: 'Which dpipesd this is', samples: [[{ version, host, user }, 1]] },
    { name: 'dpipesd_start_time_seconds', type: 'gauge', help: 'When it began, since 1970', samples: [[{}, since / 1000]] },
    { name: 'dpipesd_places', type: 'gauge', help: 'Stages that may run at a time', samples: [[{}, places.max]] },
    { name: 'dpipesd_places_taken', type: 'gauge', help: 'Stages that are prepared or run', samples: [[{}, places.running]] },
    { name: 'dpipesd_stages_running', type: 'gauge', help: 'Stages that run', samples: [[{}, running.length]] },
    { name: 'dpipesd_draining', type: 'gauge', help: '1: it takes no new stages', samples: [[{}, Number(places.drains)]] },
    {
      name: 'dpipesd_stages',
      type: 'counter',
      help: 'Stages that have ended, by how',
      samples: Object.entries(seen.ended).map(([result, count]) => [{ result }, count] as const),
    },
    {
      name: 'dpipesd_bytes',
      type: 'counter',
      help: 'Bytes of the inputs and outputs of stages',
      samples: [
        [{ half: 'in' }, seen.bytesIn + sum('in')],
        [{ half: 'out' }, seen.bytesOut + sum('out')],
      ],
    },
    {
      name: 'dpipesd_app_running',
      type: 'gauge',
      help: 'Stages of each app',
      samples: apps.map((app) => [{ app: app.name }, places.runningOf(app)] as const),
    },
  ];
}

function formatFamily({ name, type, help, samples }: Family): string {
  const lines = samples.map(([labels, value]) => `${name}${suffixes[type]}${formatLabels(labels)} ${value}\n`);
  return `# TYPE ${name} ${type}\n# HELP ${name} ${help}\n${lines.join('')}`;
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${value.replaceAll(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}
