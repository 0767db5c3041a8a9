// The channels of one connection: numbered, opened, refused, and lost with it.
import type { Duplex } from 'node:stream';
import type SSH2Stream from 'ssh2-streams/lib/ssh.js';
import type { OpenConfirmation, OpenFailure } from 'ssh2-streams/lib/ssh.js';
import { timing } from '@dipus/proto/timing';
import { Channel, lostError, packetBytes, windowBytes, type Link, type Listener } from './channel.ts';
import { Outlet } from './outlet.ts';

/** The other side opened no channel; `isForbidden`: whatever it would have led to. */
export class ChannelRefusal extends Error {
  readonly isForbidden: boolean;

  constructor({ reason, description }: OpenFailure) {
    super(description || reason || 'refused');
    this.isForbidden = reason === 'ADMINISTRATIVELY_PROHIBITED' || reason === 'UNKNOWN_CHANNEL_TYPE';
  }
}

type Open = (local: number) => boolean;
type Listeners = Record<string, Listener>;

/** Opens channels over a connection that is logged in. */
export class Channels {
  readonly #link: Link;
  readonly #open = new Set<Channel>();
  readonly #abandon = new Set<(cause: Error) => void>();
  #lost: Error | undefined;
  #next = 0;

  constructor(stream: SSH2Stream) {
    this.#link = { stream, outlet: new Outlet(stream) };
  }

  /** Connects to a socket there: half-open, not read yet; the caller closes it. Rejects with ChannelRefusal, or with an Error. */
  async openSocket(path: string): Promise<Duplex> {
    const channel = await this.#begin((local) =>
      this.#link.stream.openssh_directStreamLocal(local, windowBytes, packetBytes, { socketPath: path }),
    );
    return channel.stream;
  }

  /** Starts a program or a subsystem there, as `request` asks; undefined where the other side will not. */
  async openSession(request: (stream: SSH2Stream, remote: number) => boolean): Promise<Duplex | undefined> {
    const { stream } = this.#link;
    const channel = await this.#begin((local) => stream.session(local, windowBytes, packetBytes));
    const { local } = channel;
    const answer = this.#first<boolean>((resolve) => ({
      [`CHANNEL_SUCCESS:${local}`]: () => resolve(true),
      [`CHANNEL_FAILURE:${local}`]: () => resolve(false),
      [`CHANNEL_CLOSE:${local}`]: () => resolve(false),
    }));
    channel.request((remote) => request(stream, remote));
    if (await answer) return channel.stream;
    channel.stream.on('error', () => {}).destroy();
    return undefined;
  }

  /** Resolves when none is open, or all have had time to be closed. */
  async idle(): Promise<void> {
    const closed = [...this.#open].map((channel) => new Promise((resolve) => channel.stream.once('close', resolve)));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, timing.lingerMs)));
    await Promise.race([Promise.all(closed), late]);
    clearTimeout(timer);
  }

  /** The connection is lost, and all channels with it. */
  lose(reason: string): void {
    this.#lost = lostError(reason);
    for (const abandon of this.#abandon) abandon(this.#lost);
    for (const channel of this.#open) channel.lose(this.#lost);
  }

  // Its first bytes may come in the same breath as its confirmation, so the channel is made there and then.
  #begin(open: Open): Promise<Channel> {
    const local = this.#next++;
    let isWanted = true;
    const opened = this.#first<Channel>((resolve, reject) => ({
      [`CHANNEL_OPEN_FAILURE:${local}`]: (failure: OpenFailure) => reject(new ChannelRefusal(failure)),
      [`CHANNEL_OPEN_CONFIRMATION:${local}`]: (confirmation: OpenConfirmation) => resolve(this.#add(local, confirmation)),
    }));
    this.#link.stream.once(`CHANNEL_OPEN_CONFIRMATION:${local}`, (confirmation: OpenConfirmation) => {
      if (!isWanted) this.#add(local, confirmation).stream.destroy();
    });
    this.#link.outlet.sent(open(local));
    return opened.finally(() => (isWanted = false));
  }

  #add(local: number, confirmation: OpenConfirmation): Channel {
    const channel = new Channel(this.#link, local, confirmation);
    this.#open.add(channel);
    channel.stream.once('close', () => this.#open.delete(channel));
    return channel;
  }

  /** The first of some events. Rejects where the connection is lost first, or none comes in time. */
  #first<T>(listen: (resolve: (value: T) => void, reject: (error: Error) => void) => Listeners): Promise<T> {
    const { stream } = this.#link;
    let forget = (): void => {};
    const answer = new Promise<T>((resolve, reject) => {
      if (this.#lost) return reject(this.#lost);
      const events = Object.entries(listen(resolve, reject));
      const timer = setTimeout(() => reject(new Error(`no answer within ${timing.headMs / 1000} s`)), timing.headMs);
      for (const [event, listener] of events) stream.on(event, listener);
      this.#abandon.add(reject);
      forget = () => {
        clearTimeout(timer);
        this.#abandon.delete(reject);
        for (const [event, listener] of events) stream.off(event, listener);
      };
    });
    return answer.finally(() => forget());
  }
}
