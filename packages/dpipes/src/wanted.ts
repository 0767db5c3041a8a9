import { Failure } from '@dipus/proto/failure';
import { isName } from '@dipus/proto/name';
import { pause } from '@dipus/proto/waiting';
import type { Stage } from '@dipus/shell/stage';
import { backOffMs } from './deadline.ts';
import { anyNode, appNode, type Nodes } from './nodes.ts';
import type { Place, Service } from './place.ts';

/** A stage, and what it could run on. */
export interface WantedStage {
  /** From 1. */
  readonly number: number;
  readonly stage: Stage;
  readonly places: readonly Place[];
}

/** What a stage is called in messages. */
export function nameOf({ number, stage }: Pick<WantedStage, 'number' | 'stage'>): string {
  return `stage ${number}${stage.name === undefined ? '' : `, ${stage.name}`}`;
}

/** How long places are looked for. */
export interface Patience {
  readonly deadline: number;
  readonly stop: AbortSignal;
}

/** The places of each stage. Rejects with Failure where one has none; a node that has not answered in time is asked again before. */
export async function findPlaces(stages: readonly Stage[], nodes: Nodes, { deadline, stop }: Patience): Promise<WantedStage[]> {
  for (let tries = 0; ; tries++) {
    try {
      return await findOnce(stages, nodes);
    } catch (error) {
      const pauseMs = backOffMs(tries);
      const mayFollow = error instanceof NoPlace && !stop.aborted && Date.now() + pauseMs < deadline;
      if (mayFollow && nodes.takeSilent()) await pause(pauseMs, stop);
      else {
        nodes.tellSilent();
        throw error;
      }
    }
  }
}

function findOnce(stages: readonly Stage[], nodes: Nodes): Promise<WantedStage[]> {
  const asked = new Map<string, Promise<readonly Place[]>>();
  return Promise.all(stages.map(async (stage, at) => ({ number: at + 1, stage, places: await placesOf(stage, at + 1, { nodes, asked }) })));
}

interface Looking {
  readonly nodes: Nodes;
  /** What was asked once is not asked again. */
  readonly asked: Map<string, Promise<readonly Place[]>>;
}

async function placesOf(stage: Stage, number: number, { nodes, asked }: Looking): Promise<readonly Place[]> {
  const look = (key: string, find: () => Promise<Service[]>): Promise<readonly Place[]> => {
    let places = asked.get(key);
    if (!places) {
      places = find().then((services) => nodes.placesAt(services));
      asked.set(key, places);
    }
    return places;
  };
  const name = nameOf({ number, stage });
  if (stage.place?.kind === 'service') {
    const { name: service } = stage.place;
    const places = await look(`@${service}`, () => nodes.findService(service));
    if (places.length === 0) throw notFound(`${name}: ${service}`, 'no service of that name can be a stage', 'dls shows what there is');
    return places;
  }
  const host = stage.place?.name;
  // A program that is offered by its name runs there alone.
  const offered =
    stage.name !== undefined && isName(stage.name) && stage.argv
      ? await look(`dp/${stage.name} ${host}`, () => nodes.find(appNode(stage.name!), host))
      : [];
  const isWanted = ({ hosts, path }: Place): boolean =>
    stage.place === undefined || hosts.includes(stage.place.name) || path === stage.place.name;
  const places = offered.filter(isWanted);
  if (places.length > 0) return places;
  const free = (await look(` ${host}`, () => nodes.find(anyNode, host))).filter(isWanted);
  const able = free.filter(({ info }) => info.only === undefined || (stage.name !== undefined && info.only.includes(stage.name)));
  // Where none is able to run it, one of them says why.
  if (free.length > 0) return able.length > 0 ? able : free;
  if (stage.place) throw notFound(name, `no node is called ${stage.place.name}`, 'dls dpipesd shows those of this host; -N names others');
  throw notFound(name, 'no node was found', 'start dpipesd where it may run, or name a node by -N, or a registry by -r');
}

/** No place at all for a stage: the status is that of a command that is not found. */
export class NoPlace extends Failure {}

function notFound(what: string, reason: string, hint: string): Failure {
  return new NoPlace('place', what, reason).withHint(hint);
}
