// One name of the tree under which stages run.
import { randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Info } from '@dipus/proto/control';
import { openerOf } from '@dipus/descriptors/opener';
import { widenPipe } from '@dipus/descriptors/pipe-size';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { endGroup, killGroup } from '@dipus/programs/group';
import { startProgram } from '@dipus/programs/program';
import { formatServiceName, type Service } from '@dipus/proto/name';
import { pipeVersion, type Prepare } from '@dipus/proto/pipe';
import type { LinkOrigin } from '@dipus/proto/pipe-link';
import { busy, permissionsChanged, type SessionError } from '@dipus/proto/session-error';
import { deferred, type Deferred } from '@dipus/proto/waiting';
import { partFrom, serveControl } from '@dipus/session/control-server';
import type { PreparedStage, StageResult } from '@dipus/session/stage';
import type { LinkWays } from '@dipus/session/stage-links';
import { credentialOf, stageVariables, type StageIdentity } from '@dipus/session/stage-variables';
import { ownGroups, userName } from '@dipus/tree/accounts';
import type { Wanted } from '@dipus/tree/claim';
import { keepService, type KeptService } from '@dipus/tree/keep';
import type { Tree } from '@dipus/tree/root';
import { agree, type Agreement, type Terms } from './agreement.ts';
import type { Places } from './places.ts';
import type { SeenStages, StageRecord } from './seen-stages.ts';
import { NotToRun, type WhatRuns } from './what-runs.ts';

/** By this the stages of this process know each other. */
const same = randomBytes(16).toString('hex');

export interface OfferOptions {
  readonly wanted: Wanted;
  /** The names of the only programs that run here. */
  readonly only?: readonly string[];
  readonly terms: Terms & { readonly whatRuns: WhatRuns };
  readonly places: Places;
  readonly stop: AbortSignal;
  /** How a stage is connected to another one. */
  readonly ways: LinkWays;
  readonly seen: SeenStages;
  /** Serves plain clients; without it nothing can be told to one. */
  readonly plain?: (connection: Socket) => void;
  warn(error: unknown): void;
  explain(message: string): void;
}

export class Offer {
  readonly #options: OfferOptions;
  readonly #since = Date.now();
  readonly #controls = new Set<Socket>();
  readonly #groups = new Set<number>();
  /** Those of stages that have their places, and no program yet. */
  readonly #unbegun = new Set<Duplex>();
  /** How programs are ended from now on, those that are just being started too; undefined while they may run. */
  #endOne: ((group: number) => void) | undefined;
  #running = 0;
  #idle: Deferred<void> | undefined;
  #kept: KeptService | undefined;
  #isClosed = false;

  constructor(options: OfferOptions) {
    this.#options = options;
  }

  /** Claims the name. Throws Failure. */
  async begin(tree: Tree): Promise<void> {
    const { wanted, stop, warn } = this.#options;
    this.#kept = await keepService(tree, wanted, {
      open: () => this.#openServers(),
      stop,
      reclaimed: (path) => warn(`${path} was taken away; claimed it again`),
      lost: warn,
    });
  }

  get path(): string {
    return this.#kept!.claim.path;
  }

  /** Out of the tree, and no new stages. Resolves when the last one has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#kept?.release();
    if (this.#running > 0) await (this.#idle ??= deferred()).promise;
  }

  /** Ends the programs that still run: TERM, then KILL. `now`: KILL at once. None is started any more. */
  endPrograms(now: boolean): void {
    this.#endOne = (group) => void (now ? killGroup(group) : endGroup(group));
    this.#groups.forEach(this.#endOne);
    for (const control of this.#unbegun) control.destroy();
  }

  /** Closes the connections that are left, behind what was written to them. */
  part(): void {
    partFrom(this.#controls);
  }

  #openServers(): { plain: ReturnType<typeof createServer>; control: ReturnType<typeof createServer> } {
    const serve = serveControl({
      refuse: () => (this.#kept?.matchModes() ? permissionsChanged : undefined),
      begin: (session) => session.fail('it has stages of pipelines, and no sessions: use dpipes'),
      info: () => this.#info(),
      prepare: (prepare, control) => this.#prepare(prepare, control),
    });
    const plain = createServer({ allowHalfOpen: true }, (connection) => {
      if (this.#options.plain) this.#options.plain(connection.on('error', () => {}));
      else connection.destroy();
    });
    const control = createServer({ allowHalfOpen: true }, (connection) => {
      this.#controls.add(connection);
      connection.once('close', () => this.#controls.delete(connection));
      serve(connection);
    });
    for (const server of [plain, control]) {
      server.on('error', (error) => this.#options.explain(`cannot accept a connection: ${reasonOf(error)}`));
    }
    return { plain, control };
  }

  #info(): Info {
    const { places, wanted, only } = this.#options;
    const own = wanted.area === 'local' ? { pid: process.pid } : {};
    return {
      since: this.#since,
      running: places.running,
      waiting: 0,
      max: places.max,
      tty: false,
      pipe: pipeVersion,
      ...(only && { only }),
      ...own,
    };
  }

  async #prepare(prepare: Prepare, control: Duplex): Promise<PreparedStage | SessionError> {
    const { places } = this.#options;
    const why = places.whyNone();
    if (why) return why;
    if (this.#isClosed || !this.#kept) return busy;
    const { service } = this.#kept.claim;
    places.take();
    this.#running++;
    try {
      const agreement = await agree(prepare, formatServiceName(service), this.#options.terms);
      if (places.enterApp(agreement.app)) {
        this.#unbegun.add(control);
        return this.#place(this.#identityOf(prepare, service, control), control, agreement);
      }
    } catch (error) {
      this.#leaveUnused();
      if (!(error instanceof NotToRun)) this.#options.warn(new Failure('prepare', 'a stage', error));
      return { reason: error instanceof NotToRun ? error.message : 'internal error', retry: false };
    }
    this.#leaveUnused();
    return busy;
  }

  #identityOf(prepare: Prepare, service: Service, control: Duplex): StageIdentity {
    const { wanted, terms } = this.#options;
    const { area, mode, gid } = wanted;
    // An exporter opens it for whomever it lets in.
    const opener = area === 'local' ? openerOf(control, mode === undefined && gid === undefined) : undefined;
    const credential = credentialOf(opener === undefined ? undefined : userName(opener));
    return { prepare, service, user: terms.user, groups: ownGroups(), credential };
  }

  #place(identity: StageIdentity, control: Duplex, { words, app, ignored, maxMs, objects: settings }: Agreement): PreparedStage {
    const { places, ways, seen } = this.#options;
    const { prepare, service } = identity;
    const { stage, stages } = prepare;
    const record = seen.begin(prepare, formatServiceName(service));
    const environmentFrom = (from?: LinkOrigin): NodeJS.ProcessEnv => ({ ...words.environment, ...stageVariables(identity, from) });
    let group: number | undefined;
    let timer: NodeJS.Timeout | undefined;
    return {
      prepared: {
        version: pipeVersion,
        host: service.host,
        service: formatServiceName(service),
        running: places.running,
        max: places.max,
        same,
        path: this.path,
        ...(ignored.length > 0 && { ignored }),
      },
      ...ways,
      ...(settings && { objects: { settings, identity, argv: words.argv, environment: words.environment } }),
      ...(ways.dial && { dial: (uri: string) => this.#dial(uri, record) }),
      widen: widenPipe,
      watched: (look) => record.watched(look),
      start: async (ends, from) => {
        this.#unbegun.delete(control);
        const program = await startProgram({ ...words, environment: environmentFrom(from) }, ends);
        const { pid } = program;
        group = pid;
        this.#groups.add(pid);
        this.#endOne?.(pid);
        record.started(pid, words.argv);
        // A program that ended by itself would pass for a true end.
        if (maxMs !== undefined) timer = setTimeout(() => void killGroup(pid), maxMs);
        this.#options.explain(`stage ${stage} of ${stages}: process ${pid} runs ${words.argv.at(-1)}`);
        return program;
      },
      release: (result) => {
        clearTimeout(timer);
        this.#unbegun.delete(control);
        if (group !== undefined) this.#groups.delete(group);
        places.leaveApp(app);
        record.ended(result);
        this.#release(prepare, result);
      },
    };
  }

  async #dial(uri: string, record: StageRecord): Promise<Duplex> {
    const connection = await this.#options.ways.dial!(uri);
    record.called(uri);
    return connection;
  }

  #leaveUnused(): void {
    this.#options.places.giveBack();
    this.#leave();
  }

  #release({ stage, stages }: Prepare, result: StageResult): void {
    this.#options.places.leave();
    this.#leave();
    const how = 'exit' in result ? JSON.stringify(result.exit) : result.error;
    this.#options.explain(`stage ${stage} of ${stages} is over: ${how}`);
  }

  #leave(): void {
    this.#running--;
    if (this.#running === 0) this.#idle?.resolve();
  }
}
