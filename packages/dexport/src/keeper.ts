// The one process that stays root: it starts the openers and passes on what they open. Nothing that comes from the network reaches it.
import type { ChildProcess } from 'node:child_process';
import { reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import type { JoinAnswer, JoinRequest } from '@dipus/seps/pairing';
import { whyNobody } from '@dipus/seps/authorized-peers';
import { userId } from '@dipus/tree/accounts';
import { forkProcess } from '@dipus/programs/start-process';
import { openerRole } from './roles.ts';
import { parseOrder, parseReply, type OpenerTree, type Order, type PairOrder, type Reply, type UserOrder } from './orders.ts';
import type { Handle } from '@dipus/proto/handle';
import { sendWith, type ProcessChannel } from '@dipus/session/passed-socket';

export interface KeeperOptions {
  /** The file of this very program. */
  readonly program: string;
  readonly tree: OpenerTree;
  /** Why nothing is opened as this user; undefined where it may be. */
  whyNot(user: string): string | undefined;
  /** Takes an invitation. Throws Failure. */
  pair(request: JoinRequest): JoinAnswer;
}

/** Has the orders of an exporter carried out, as the users that may be. */
export class Keeper {
  readonly #options: KeeperOptions;
  readonly #exporter: ProcessChannel;
  readonly #openers = new Map<string, Opener>();

  constructor(exporter: ProcessChannel, options: KeeperOptions) {
    this.#exporter = exporter;
    this.#options = options;
  }

  /** Takes a message of the exporter, which may be anything. */
  take(message: unknown): void {
    const order = parseOrder(message);
    if (!order) return;
    if ('pair' in order) return this.#answer(this.#joined(order));
    const why = this.#options.whyNot(order.user) ?? this.#whyNobody(order.user);
    if (why !== undefined) return this.#answer({ id: order.id, code: 'EACCES', reason: why });
    this.#openerOf(order.user).carryOut(order);
  }

  /** Ends all openers. */
  close(): void {
    for (const opener of this.#openers.values()) opener.close();
  }

  #joined({ id, pair }: PairOrder): Reply {
    try {
      return { id, joined: this.#options.pair(pair) };
    } catch (error) {
      return { id, reason: reasonOf(error) };
    }
  }

  #openerOf(user: string): Opener {
    const known = this.#openers.get(user);
    if (known) return known;
    const opener: Opener = new Opener(user, this.#options, {
      answer: (message, handle) => this.#answer(message, handle),
      ended: (left) => {
        this.#openers.delete(user);
        for (const order of left) this.#again(order);
      },
    });
    this.#openers.set(user, opener);
    return opener;
  }

  /** What was left undone by an opener that has ended is tried once more. */
  #again({ order, isSecond }: Pending): void {
    const reason = `the process that opens for ${order.user} has ended`;
    if (isSecond) this.#answer({ id: order.id, reason });
    else this.#openerOf(order.user).carryOut(order, true);
  }

  #whyNobody(user: string): string | undefined {
    const why = this.#openers.has(user) ? undefined : whyNobody(user, userId);
    return why && `user ${user}: ${why}`;
  }

  #answer(message: object, handle?: Handle): void {
    sendWith(this.#exporter, message, handle);
  }
}

interface Pending {
  readonly order: UserOrder;
  readonly isSecond: boolean;
}

interface OpenerEvents {
  answer(message: object, handle?: Handle): void;
  /** The process has gone; what it has left undone. */
  ended(left: readonly Pending[]): void;
}

/** The process of one user, until it was idle for long. */
class Opener {
  readonly #child: ChildProcess;
  readonly #events: OpenerEvents;
  readonly #pending = new Map<number, Pending>();
  #isOver = false;
  #idle: NodeJS.Timeout | undefined;

  constructor(user: string, { program, tree }: KeeperOptions, events: OpenerEvents) {
    this.#events = events;
    this.#child = forkProcess(program, [openerRole, user], {
      cwd: '/',
      env: {},
      execArgv: [],
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message, handle) => this.#heard(message, handle as Handle | undefined));
    // An error is told where it could not be started.
    this.#child.once('error', () => this.#ended()).once('exit', () => this.#ended());
    sendWith(this.#child, tree);
  }

  carryOut(order: UserOrder, isSecond = false): void {
    clearTimeout(this.#idle);
    this.#pending.set(order.id, { order, isSecond });
    sendWith(this.#child, order satisfies Order);
  }

  /** Its process ends by itself when nobody is at the other end. */
  close(): void {
    if (this.#child.connected) this.#child.disconnect();
  }

  #heard(message: unknown, handle: Handle | undefined): void {
    const reply = parseReply(message);
    if (!reply || !this.#pending.delete(reply.id)) return handle?.close();
    this.#events.answer(reply, handle);
    if (this.#pending.size === 0) this.#idle = setTimeout(() => this.#retire(), timing.idleOpenerMs);
  }

  #retire(): void {
    this.#ended();
    this.close();
  }

  #ended(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#idle);
    this.#events.ended([...this.#pending.values()]);
  }
}
