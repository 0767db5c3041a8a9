// The links of a pipeline: from each stage to the next one, by whichever way there is.
import { randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Failure, reasonOf } from '@dipus/proto/failure';
import { linkPreface } from '@dipus/proto/control';
import type { Link, LinkHalf, LinkOrigin } from '@dipus/proto/pipe-link';
import { startCountedCopy } from '@dipus/relay/counted-copy';
import { StageOver } from '@dipus/session/stage-client';
import { ownHost } from '@dipus/tree/root';
import { lateness } from './deadline.ts';
import { isSecret, originOf, uriOf, waysTo } from './candidate.ts';
import { NotNow, type ReadyStage } from './prepare.ts';
import type { OwnLinks } from './running-pipe.ts';
import { nameOf } from './wanted.ts';

const newToken = (): string => randomBytes(16).toString('hex');
const newKey = (): string => randomBytes(32).toString('hex');

export interface LinkOptions {
  /** Their bytes must not pass through this host. */
  readonly isDirect: boolean;
  explain(message: string): void;
}

/** One stage that calls, and the half of its own that it links so. */
interface Caller {
  readonly by: ReadyStage;
  readonly half: LinkHalf;
}

/** Who called whom, or that the bytes pass through this host. */
export type LinkWay = 'direct' | 'reverse' | 'direct, encrypted' | 'reverse, encrypted' | 'relayed';

/** Links all stages, and this host to the first one, unless that reads nothing, and to the last one. Rejects with Failure. */
export async function linkAll(
  stages: readonly ReadyStage[],
  options: LinkOptions & { readonly readsNothing: boolean },
): Promise<OwnLinks & { ways: LinkWay[] }> {
  const between = Promise.all(stages.slice(1).map((to, at) => linkStages(stages[at]!, to, options)));
  const first = options.readsNothing ? Promise.resolve(undefined) : ownLink(stages[0]!, 'in');
  const last = ownLink(stages.at(-1)!, 'out');
  try {
    const [input, output, ways] = await Promise.all([first, last, between]);
    return { input, output, ways };
  } catch (error) {
    for (const one of [first, last]) one.then((connection) => connection?.destroy()).catch(() => {});
    if (!(error instanceof StageOver)) throw error;
    // A stage that is lost meanwhile, or whose place is.
    const Kind = 'error' in error.result && error.result.error.retry ? NotNow : Failure;
    throw new Kind('link', 'the pipeline', error);
  }
}

/** Links a stage to the next one: it calls that one; or that one calls it; or this host stands between them. Rejects with Failure. */
async function linkStages(from: ReadyStage, to: ReadyStage, { isDirect, explain }: LinkOptions): Promise<LinkWay> {
  const what = `${nameOf(from.wanted)} to ${nameOf(to.wanted)}`;
  const [first, second] = [
    { by: from, half: 'out' as const },
    { by: to, half: 'in' as const },
  ];
  const own = await ownWay(from, to);
  const isKeyed = own === undefined && isSecret(from.candidate, to.candidate);
  const calls = (caller: Caller, other: ReadyStage) => (): Promise<string | undefined> =>
    called(caller, other, { isKeyed, to: own ?? waysTo(other.candidate, caller.by.candidate) });
  const ways: ['direct' | 'reverse', string, () => Promise<string | undefined>][] = [
    ['direct', 'linked', calls(first, to)],
    ['reverse', 'linked, by a call from the second', calls(second, from)],
    ['direct', 'linked, at a port of the second', () => calledAtPort(first, to)],
    ['reverse', 'linked, at a port of the first', () => calledAtPort(second, from)],
  ];
  for (const [way, how, attempt] of isKeyed ? ways : ways.slice(0, 2)) {
    const whyNot = await attempt();
    explain(whyNot === undefined ? `${what}: ${how}${isKeyed ? ', encrypted' : ''}` : `${what}: not ${how}: ${whyNot}`);
    if (whyNot === undefined) return isKeyed ? `${way}, encrypted` : way;
  }
  if (isDirect)
    throw new Failure('link', what, 'neither can call the other').withHint('without --direct their bytes pass through this host');
  explain(`${what}: neither can call the other, so their bytes pass through this host`);
  const [source, target] = await Promise.all([ownLink(from, 'out'), ownLink(to, 'in', from)]);
  startCountedCopy(source, target);
  return 'relayed';
}

/** How the second of two stages of one process is called. */
async function ownWay(from: ReadyStage, to: ReadyStage): Promise<string[] | undefined> {
  const [one, other] = await Promise.all([from.client.prepared, to.client.prepared]);
  return other.path !== undefined && one.same === other.same ? [uriOf(other.path)] : undefined;
}

/** One stage calls the other at its own socket. Returns why it does not. */
async function called(
  { by, half }: Caller,
  other: ReadyStage,
  { to, isKeyed }: { readonly to: readonly string[]; readonly isKeyed: boolean },
): Promise<string | undefined> {
  if (to.length === 0) return 'no exporter has it';
  const shared = { token: newToken(), ...(isKeyed && { key: newKey() }) };
  const waiting = other.client.link({ half: otherHalf(half), ...shared, ...fromOf(otherHalf(half), by) });
  waiting.catch(() => {});
  const calling = await by.client.link({ half, ...shared, ...fromOf(half, other), to });
  return calling.error ?? (await waiting).error;
}

/** The same at a port that the other one opens for it. */
async function calledAtPort({ by, half }: Caller, other: ReadyStage): Promise<string | undefined> {
  const shared = { token: newToken(), key: newKey() };
  const { listening, linked } = await other.client.listen({ half: otherHalf(half), ...shared, ...fromOf(otherHalf(half), by) });
  linked.catch(() => {});
  const { service } = await other.client.prepared;
  const to = listening.map((address) => `sep://${address}/${service}`);
  if (to.length === 0) return (await linked).error;
  const calling = await by.client.link({ half, ...shared, ...fromOf(half, other), to });
  return calling.error ?? (await linked).error;
}

/** Of an input: the stage in front of it. */
function fromOf(half: LinkHalf, { candidate }: ReadyStage): Pick<Link, 'from'> {
  return half === 'in' ? { from: originOf(candidate) } : {};
}

function otherHalf(half: LinkHalf): LinkHalf {
  return half === 'in' ? 'out' : 'in';
}

/** This host's own end of a stage's link, not read yet; `from`: the stage whose output is written to an input, else it is this host's. */
async function ownLink({ wanted, candidate, client }: ReadyStage, half: LinkHalf, from?: ReadyStage): Promise<Duplex> {
  const token = newToken();
  const isLate = lateness();
  const connection = await candidate.open('data').catch((error: unknown) => {
    throw new (isLate() ? NotNow : Failure)('link', nameOf(wanted), `it cannot be connected to: ${reasonOf(error)}`);
  });
  connection.on('error', () => {}).pause();
  const origin = half === 'in' && { from: from ? originOf(from.candidate) : ownOrigin(connection) };
  const waiting = client.link({ half, token, ...origin });
  waiting.catch(() => {});
  await new Promise<void>((resolve) => connection.write(linkPreface(half, token), () => resolve()));
  if (half === 'out') connection.end();
  const { error } = await waiting;
  if (error === undefined) return connection;
  connection.destroy();
  throw new NotNow('link', nameOf(wanted), error);
}

/** This host by the address that it has on this way, or by its name. */
function ownOrigin(connection: Duplex): LinkOrigin {
  const { localAddress, localPort = null } = connection instanceof Socket ? connection : {};
  return localAddress === undefined ? { addr: ownHost(process.env), port: null } : { addr: localAddress, port: localPort };
}
