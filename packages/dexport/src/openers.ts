// Openers as the exporter sees them: by the keeper.
import type { Socket } from 'node:net';
import { Failure } from '@dipus/proto/failure';
import { deferred, type Deferred } from '@dipus/proto/waiting';
import type { JoinAnswer, JoinRequest } from '@dipus/seps/pairing';
import type { State } from '@dipus/tree/probe';
import type { Access } from './access.ts';
import { parseReply, type Order, type PairOrder, type UserOrder } from './orders.ts';
import type { Handle } from '@dipus/proto/handle';
import { sendWith, socketOf, type ProcessChannel } from '@dipus/session/passed-socket';

type Look = Extract<Order, { look: unknown }>['look'];
type Done = Socket | readonly State[] | JoinAnswer;
type Unsent = WithoutId<UserOrder | PairOrder>;
type WithoutId<Any> = Any extends unknown ? Omit<Any, 'id'> : never;

interface Looked {
  readonly file: string;
  readonly state: Deferred<State>;
}

/** Asks the keeper to have services looked at and opened as other users. */
export class Openers {
  readonly #keeper: ProcessChannel;
  readonly #waiting = new Map<number, Deferred<Done>>();
  /** What is to be looked at as of this turn, in one message for each user and kind. */
  readonly #looks = new Map<string, Looked[]>();
  #next = 0;

  constructor(keeper: ProcessChannel) {
    this.#keeper = keeper;
  }

  /** The access of a user. To a user whom the keeper does not serve all is forbidden. */
  accessOf(user: string): Access {
    return {
      mayOpen: async (file) => (await this.#look(user, 'permission', file)) !== 'forbidden',
      stateOf: (file) => this.#look(user, 'state', file),
      open: async (file, half) => (await this.#order({ user, open: half, file })) as Socket,
    };
  }

  /** Takes an invitation. Rejects with a Failure. */
  async pair(request: JoinRequest): Promise<JoinAnswer> {
    try {
      return (await this.#order({ pair: request })) as JoinAnswer;
    } catch (error) {
      throw new Failure('pair with', request.name, error);
    }
  }

  /** Takes a message of the keeper. */
  take(message: unknown, handle: Handle | undefined): void {
    const reply = parseReply(message);
    const waiting = reply && this.#waiting.get(reply.id);
    if (!waiting) return handle?.close();
    this.#waiting.delete(reply.id);
    if ('joined' in reply) waiting.resolve(reply.joined);
    else if ('states' in reply) waiting.resolve(reply.states);
    else if ('reason' in reply) waiting.reject(Object.assign(new Error(reply.reason), { code: reply.code }));
    else if (handle) waiting.resolve(socketOf(handle));
    // A process that has no descriptor left gets the message alone.
    else waiting.reject(Object.assign(new Error('no descriptors are left'), { code: 'EMFILE' }));
  }

  async #look(user: string, look: Look, file: string): Promise<State> {
    const key = `${look} ${user}`;
    const state = deferred<State>();
    const looks = this.#looks.get(key);
    if (looks) looks.push({ file, state });
    else {
      this.#looks.set(key, [{ file, state }]);
      setImmediate(() => void this.#lookAtAll(user, look));
    }
    return state.promise;
  }

  async #lookAtAll(user: string, look: Look): Promise<void> {
    const key = `${look} ${user}`;
    const looks = this.#looks.get(key) ?? [];
    this.#looks.delete(key);
    try {
      const states = (await this.#order({ user, look, files: looks.map(({ file }) => file) })) as readonly State[];
      for (const [at, { state }] of looks.entries()) state.resolve(states[at] ?? 'forbidden');
    } catch {
      // What nobody can look at as this user is nothing to offer; whoever opens it is told why.
      for (const { state } of looks) state.resolve('forbidden');
    }
  }

  async #order(order: Unsent): Promise<Done> {
    const id = this.#next++;
    const done = deferred<Done>();
    this.#waiting.set(id, done);
    sendWith(this.#keeper, { ...order, id });
    return done.promise;
  }
}
