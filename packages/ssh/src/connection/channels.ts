// The channels of one connection: numbered, opened, refused, and lost with it.
import type { Duplex } from 'node:stream';
import type SSH2Stream from 'ssh2-streams/lib/ssh.js';
import { timing } from '@dipus/proto/timing';
import { inTime } from '@dipus/proto/waiting';
import { Channel, packetBytes, windowBytes, type ChannelNews, type Wire } from './channel.ts';
import { lostError } from './channel-errors.ts';
import { Outlet } from './outlet.ts';

/** Opens channels over a connection that is logged in. */
export class Channels {
  readonly #wire: Wire;
  readonly #all = new Set<Channel>();
  /** By their numbers, the lowest that are free: for each there are listeners, which cost more than the channel. */
  readonly #numbered: (Channel | undefined)[] = [];
  #lost: Error | undefined;

  constructor({ stream, breach }: Omit<Wire, 'outlet'>) {
    this.#wire = { stream, breach, outlet: new Outlet(stream) };
  }

  /**
   * Connects to a socket of the remote host: half-open, not read yet; the caller closes it. Rejects with ChannelRefusal, or with
   * an Error. An error that comes before the caller listens is in `errored`.
   */
  async openSocket(path: string): Promise<Duplex> {
    const { stream } = this.#wire;
    const open = (local: number): boolean => stream.openssh_directStreamLocal(local, windowBytes, packetBytes, { socketPath: path });
    return usable((await this.#open(open)).stream);
  }

  /**
   * Starts a program or a subsystem on the remote host, as `request` asks; undefined where the other side will not. Rejects as
   * openSocket() does.
   */
  async openSession(request: (stream: SSH2Stream, remote: number) => boolean): Promise<Duplex | undefined> {
    const { stream } = this.#wire;
    const channel = await this.#open((local) => stream.session(local, windowBytes, packetBytes));
    if (await channel.request((remote) => request(stream, remote))) return usable(channel.stream);
    channel.stream.destroy();
    return undefined;
  }

  /** Resolves when none is open, or all have had time to be closed. */
  async idle(): Promise<void> {
    const closed = [...this.#all].map(({ stream }) => new Promise((resolve) => stream.once('close', resolve)));
    await inTime(timing.partingMs, Promise.all(closed));
  }

  /** The connection is lost, and all channels with it. */
  lose(reason: string): void {
    this.#lost = lostError(reason);
    for (const channel of this.#all) channel.lose(this.#lost);
  }

  async #open(send: (local: number) => boolean): Promise<Channel> {
    if (this.#lost) throw this.#lost;
    const free = this.#numbered.indexOf(undefined);
    const local = free < 0 ? this.#listen() : free;
    const channel = new Channel(this.#wire, local, () => (this.#numbered[local] = undefined));
    this.#numbered[local] = channel;
    this.#all.add(channel);
    channel.stream.once('close', () => this.#all.delete(channel));
    await channel.open(send);
    return channel;
  }

  /** Returns one number more, whose channels hear what is said of it. */
  #listen(): number {
    const local = this.#numbered.push(undefined) - 1;
    for (const name of Object.keys(Channel.hearing) as (keyof ChannelNews)[]) {
      const hear = Channel.hearing[name] as (channel: Channel, ...news: unknown[]) => void;
      this.#wire.stream.on(`${name}:${local}`, (...news: unknown[]) => {
        const channel = this.#numbered[local];
        if (channel) hear(channel, ...news);
      });
    }
    return local;
  }
}

/** It may have been closed in the same breath as it was opened. */
function usable(stream: Duplex): Duplex {
  if (stream.errored) throw stream.errored;
  return stream;
}
