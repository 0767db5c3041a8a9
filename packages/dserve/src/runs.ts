// The programs of one service: each client has one, in its turn.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Descriptors } from '@dipus/cli/descriptors';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { asStartedByUser } from '@dipus/cli/start';
import { openerOf } from '@dipus/descriptors/opener';
import { widenPipe } from '@dipus/descriptors/pipe-size';
import { knownPeer, type PeerCredentials } from '@dipus/descriptors/peer-credentials';
import { groupGone } from '@dipus/programs/group';
import { startProgram, type Command } from '@dipus/programs/program';
import type { ObjectSettings } from '@dipus/objects/settings';
import { formatServiceName } from '@dipus/proto/name';
import { pipeVersion, type Prepare } from '@dipus/proto/pipe';
import { busy, type SessionError } from '@dipus/proto/session-error';
import { deferred } from '@dipus/proto/waiting';
import type { PreparedStage } from '@dipus/session/stage';
import { credentialOf, stageVariables, type StageIdentity } from '@dipus/session/stage-variables';
import { ownGroups, userName } from '@dipus/tree/accounts';
import type { KeptService } from '@dipus/tree/keep';
import type { Client, Connected } from './client.ts';
import { Gate, type Turn } from './gate.ts';
import { programOf, startOnSocket, type Program } from './socket-program.ts';
import { startOnPty } from './pty-program.ts';
import type { PtyMaker } from './pty.ts';
import type { ServiceRequest } from './service-request.ts';
import { ignoredOf, readTerms } from './stage-terms.ts';
import { logOf, type UseLog } from './use-log.ts';

/** What the services of a process share. */
export interface Shared {
  readonly descriptors: Descriptors;
  explain(message: string): void;
  warn(error: unknown): void;
  /** A line of the log of use; nothing unless it was asked for. */
  log(line: string): void;
  readonly isLogJson: boolean;
}

interface RunsOptions {
  /** Where each program has a terminal of its own. */
  readonly pty: PtyMaker | undefined;
  /** Clients can come a moment before the claim is known. */
  readonly claiming: Promise<KeptService>;
}

/** What a stage stands on besides who it is. */
interface PlaceOptions {
  readonly kept: KeptService;
  /** Its client's. */
  readonly control: Duplex;
  readonly settings: ObjectSettings | undefined;
}

export class Runs {
  readonly max: number;
  readonly #request: ServiceRequest;
  readonly #shared: Shared;
  readonly #options: RunsOptions;
  readonly #gate: Gate;
  readonly #programs = new Set<Program>();
  /** Those of stages that have their places, and no program yet. */
  readonly #unbegun = new Set<Duplex>();
  readonly #isEnding = deferred<false>();
  /** How programs are ended from now on, those that are just being started too; undefined while they may run. */
  #endOne: ((program: Program) => void) | undefined;
  #name: string;
  #kept: KeptService | undefined;

  constructor(request: ServiceRequest, shared: Shared, options: RunsOptions) {
    this.max = request.max;
    this.#request = request;
    this.#shared = shared;
    this.#options = options;
    this.#gate = new Gate(request.max);
    this.#name = request.name;
    void options.claiming.then((kept) => {
      this.#kept = kept;
      this.#name = formatServiceName(kept.claim.service);
    });
  }

  get running(): number {
    return this.#gate.running;
  }
  get waiting(): number {
    return this.#gate.waiting;
  }
  get isFull(): boolean {
    return this.#gate.isFull;
  }

  /** Runs the program for a client when its turn comes. Returns how to leave before that. */
  enter(client: Client): () => void {
    const turn = this.#turnOf(client);
    this.#gate.enter(turn);
    return () => this.#gate.cancel(turn);
  }

  /** A place for the program as a stage of a pipeline, at once or not at all: whoever waited would keep its other stages waiting. */
  async prepare(prepare: Prepare, control: Duplex): Promise<PreparedStage | SessionError> {
    const settings = await readTerms(prepare);
    if (settings && 'reason' in settings) return settings;
    const kept = this.#kept;
    if (!kept || this.#shared.descriptors.isExceeded || !this.#gate.enterAtOnce()) return busy;
    const { area, mode, group } = this.#request;
    const opener = area === 'local' ? openerOf(control, mode === undefined && group === undefined) : undefined;
    const identity: StageIdentity = {
      prepare,
      service: kept.claim.service,
      user: userName(process.geteuid!()),
      groups: ownGroups(),
      credential: credentialOf(opener === undefined ? undefined : userName(opener)),
    };
    return this.#placeOf(identity, { kept, control, settings });
  }

  /** Nothing is begun any more. Resolves when the last program has ended. */
  close(): Promise<void> {
    return this.#gate.close();
  }

  /** Ends the programs that still run: TERM, then KILL. `now`: KILL at once. None is started any more. */
  endPrograms(now: boolean): void {
    this.#endOne = (program) => (now ? program.kill() : program.end());
    this.#isEnding.resolve(false);
    this.#programs.forEach(this.#endOne);
    for (const control of this.#unbegun) control.destroy();
  }

  #add(program: Program): void {
    this.#programs.add(program);
    this.#endOne?.(program);
  }

  #placeOf(identity: StageIdentity, { kept, control, settings }: PlaceOptions): PreparedStage {
    this.#unbegun.add(control);
    const log = logOf({ service: this.#name, kind: 'stage' }, this.#shared.log, this.#shared.isLogJson);
    const begun = Date.now();
    let program: Program | undefined;
    const { command, environment } = this.#commandOf(kept);
    const ignored = ignoredOf(identity.prepare);
    return {
      prepared: {
        version: pipeVersion,
        host: kept.claim.service.host,
        service: this.#name,
        running: this.running,
        max: this.max,
        ...(ignored.length > 0 && { ignored }),
      },
      ...(settings && { objects: { settings, identity, argv: ['/bin/sh', '-c', command], environment } }),
      widen: widenPipe,
      start: async (ends, from) => {
        this.#unbegun.delete(control);
        const started = await startProgram({ command, environment: { ...environment, ...stageVariables(identity, from) } }, ends);
        program = programOf(started);
        this.#add(program);
        const peer = control instanceof Socket ? knownPeer(control) : undefined;
        log({ event: 'begin', pid: program.pid, ...(peer && { peer }) });
        return started;
      },
      release: (result) => {
        this.#unbegun.delete(control);
        if (program) this.#programs.delete(program);
        this.#gate.leave();
        if ('exit' in result) log({ event: 'end', exit: result.exit, seconds: (Date.now() - begun) / 1000 });
        else log({ event: 'fail', reason: result.error });
      },
    };
  }

  #turnOf(client: Client): Turn {
    const log = logOf({ service: this.#name, kind: client.kind }, this.#shared.log, this.#shared.isLogJson);
    return {
      begin: () => void this.#run(client, log),
      wait: (ahead) => {
        client.waits(ahead);
        log({ event: 'wait', ahead });
      },
      drop: () => client.failed(shuttingDown, true),
    };
  }

  /** Runs the program of a client from its turn to its end, if it is still there. Never rejects. */
  async #run(client: Client, log: UseLog): Promise<void> {
    try {
      const command = this.#commandOf(await this.#options.claiming);
      const hasTerminal = this.#options.pty !== undefined;
      const mayStart = async (): Promise<boolean> => (await client.isWanted()) && client.mayStart(hasTerminal);
      if (await Promise.race([this.#isEnding.promise, mayStart()])) return await this.#runProgram(client, command, log);
      if (this.#endOne) client.failed(shuttingDown, true);
      else client.failed('its client has gone, or has sent no GO');
      log({ event: 'leave' });
    } finally {
      this.#gate.leave();
    }
  }

  async #runProgram(client: Client, command: Command, log: UseLog): Promise<void> {
    const begun = Date.now();
    let program: Program | undefined;
    let carrier: Socket | undefined;
    try {
      const connected = client.connected();
      ({ carrier } = connected);
      const peer = knownPeer(carrier ?? connected.connection);
      program = await this.#start(connected, withPeer(command, peer));
      this.#add(program);
      client.started(program, this.#options.pty !== undefined);
      log({ event: 'begin', pid: program.pid, ...(peer && { peer }) });
      const exit = await program.ended;
      client.ended(exit);
      log({ event: 'end', exit, seconds: (Date.now() - begun) / 1000 });
    } catch (error) {
      const reason = `${program ? 'the program is lost' : 'cannot start the program'}: ${reasonOf(error)}`;
      this.#shared.warn(new Failure(program ? 'serve' : 'start', this.#request.command, error));
      client.failed(reason);
      log({ event: 'fail', reason });
    } finally {
      if (program) this.#programs.delete(program);
      if (carrier) void this.#part(carrier, program);
    }
  }

  /** Tells whoever has passed a connection that nobody has it here any more. */
  async #part(carrier: Socket, program: Program | undefined): Promise<void> {
    if (program) await groupGone(program.pid);
    carrier.destroy();
  }

  async #start(connected: Connected, command: Command): Promise<Program> {
    const { pty } = this.#options;
    return pty ? startOnPty(pty, command, connected) : startOnSocket(command, connected);
  }

  #commandOf(kept: KeptService): Command {
    const { service, path } = kept.claim;
    return {
      command: asStartedByUser(this.#request.command),
      environment: {
        ...process.env,
        DIPUS_SERVICE: formatServiceName(service),
        DIPUS_PROTOCOL: service.protocol,
        DIPUS_HOST: service.host,
        DIPUS_SOCKET: path,
      },
    };
  }
}

const shuttingDown = 'the service is shutting down';

/** Tells the program who has connected, where that is known: never who has connected to a program above it. */
function withPeer(command: Command, peer: PeerCredentials | undefined): Command {
  const variables = {
    DIPUS_PEER_UID: peer && String(peer.uid),
    // A process that cannot be seen from here has no number.
    DIPUS_PEER_PID: peer && peer.pid > 0 ? String(peer.pid) : undefined,
  };
  return { ...command, environment: { ...command.environment, ...variables } };
}
