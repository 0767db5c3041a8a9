import { Failure } from '@dipus/proto/failure';
import { isName } from '@dipus/proto/name';
import { pause } from '@dipus/proto/waiting';
import type { Stage } from '@dipus/shell/stage';
import { backOffMs } from './deadline.ts';
import { anyNode, appNode, type Nodes } from './nodes.ts';
import type { Candidate, Reach, Service } from './candidate.ts';

/** A stage, and what it could run on. */
export interface WantedStage {
  /** From 1. */
  readonly number: number;
  readonly stage: Stage;
  readonly candidates: readonly Candidate[];
}

/** What a stage is called in messages. */
export function nameOf({ number, stage }: Pick<WantedStage, 'number' | 'stage'>): string {
  return `stage ${number}${stage.name === undefined ? '' : `, ${stage.name}`}`;
}

/** How long candidates are looked for. */
export interface Patience {
  readonly deadline: number;
  readonly stop: AbortSignal;
}

/** The candidates of each stage. Rejects with Failure where one has none; a node that has not answered in time is asked again before. */
export async function findCandidates(stages: readonly Stage[], nodes: Nodes, { deadline, stop }: Patience): Promise<WantedStage[]> {
  for (let tries = 0; ; tries++) {
    try {
      return await findOnce(stages, nodes);
    } catch (error) {
      const pauseMs = backOffMs(tries);
      const mayFollow = error instanceof NoCandidate && !stop.aborted && Date.now() + pauseMs < deadline;
      if (mayFollow && nodes.takeSilent()) await pause(pauseMs, stop);
      else {
        nodes.tellSilent();
        throw error;
      }
    }
  }
}

function findOnce(stages: readonly Stage[], nodes: Nodes): Promise<WantedStage[]> {
  const looking = new Looking(nodes);
  return Promise.all(stages.map(async (stage, at) => ({ number: at + 1, stage, candidates: await candidatesOf(stage, at + 1, looking) })));
}

/** One look at all nodes: what was asked once is not asked again. */
class Looking {
  readonly nodes: Nodes;
  readonly #found = new Map<string, Promise<Service[]>>();
  readonly #asked = new Map<string, Promise<Candidate | undefined>>();

  constructor(nodes: Nodes) {
    this.nodes = nodes;
  }

  /** What is found, by a key for what is looked for. */
  async find(key: string, find: () => Promise<Service[]>): Promise<Service[]> {
    let found = this.#found.get(key);
    if (!found) this.#found.set(key, (found = find()));
    return found;
  }

  /** Those of these services that can be stages. */
  async askAll(services: readonly Service[]): Promise<Candidate[]> {
    const answers = services.map((service) => {
      let asked = this.#asked.get(service.path);
      if (!asked) this.#asked.set(service.path, (asked = this.nodes.candidateAt(service)));
      return asked;
    });
    return (await Promise.all(answers)).filter((candidate) => candidate !== undefined);
  }

  /** The same of those on the node, or at the path, of this name; all unless given. A node may also have it in what it says of itself. */
  async askAt(name: string | undefined, services: readonly Service[]): Promise<Candidate[]> {
    if (name === undefined) return this.askAll(services);
    const own = await this.askAll(services.filter(({ host, path }) => host === name || path === name));
    return own.length > 0 ? own : (await this.askAll(services)).filter(({ hosts }) => hosts.includes(name));
  }
}

async function candidatesOf(stage: Stage, number: number, looking: Looking): Promise<readonly Candidate[]> {
  const { nodes } = looking;
  const name = nameOf({ number, stage });
  if (stage.where?.kind === 'service') {
    const { name: service } = stage.where;
    const candidates = await looking.askAll(await looking.find(`@${service}`, () => nodes.findService(service)));
    if (candidates.length === 0) throw notFound(`${name}: ${service}`, 'no service of that name can be a stage', 'dls shows what there is');
    return candidates;
  }
  const host = stage.where?.name;
  const at = nodes.findsByName ? ` ${host}` : '';
  // A program that is offered by its name runs there alone.
  if (stage.name !== undefined && isName(stage.name) && stage.argv) {
    const app = appNode(stage.name);
    const offered = await looking.askAt(host, await looking.find(`dp/${stage.name}${at}`, () => nodes.find(app, host)));
    if (offered.length > 0) return offered;
  }
  const free = await looking.askAt(host, await looking.find(`dpipesd${at}`, () => nodes.find(anyNode, host)));
  const able = free.filter(({ info }) => info.only === undefined || (stage.name !== undefined && info.only.includes(stage.name)));
  // Where none is able to run it, one of them says why.
  if (free.length > 0) return able.length > 0 ? able : free;
  if (stage.where) throw notFound(name, `no node is called ${stage.where.name}`, 'dls dpipesd shows those of this host; -N names others');
  throw notFound(name, 'no node was found', 'start dpipesd where it may run, or name a node by -N, or a registry by -r');
}

/** No candidate at all for a stage: the status is that of a command that is not found. */
export class NoCandidate extends Failure {}

function notFound(what: string, reason: string, hint: string): Failure {
  return new NoCandidate('place', what, reason).withHint(hint);
}

/** Of nodes that are reached encrypted and others that are not, a link between two would be plain: throws Failure. */
export function checkNotMixed(wanted: readonly WantedStage[]): void {
  if (wanted.length < 2) return;
  const candidates = wanted.flatMap((one) => one.candidates);
  const find = (reach: Reach): Candidate | undefined => candidates.find((candidate) => candidate.reach === reach);
  const [plain, secure] = [find('plain'), find('secure')];
  if (!plain || !secure) return;
  throw new Failure('link', `${plain.path} and ${secure.path}`, 'only the second is reached encrypted').withHint(
    'name the nodes by -N or @NODE, or let the links be plain: --plain-links',
  );
}
