// A line of authorized_peers: `PIN NAME [OPTION…]` (dipus-keys(7), FILES).
import type { LineFault } from './file-lines.ts';
import { answer, AskError, parseAsk, type Ask } from './ask.ts';
import type { Service } from './name.ts';
import { isWithin, parseAddress, parseExactNetwork, type Network } from './ip-address.ts';
import { checkVisible, fieldsOf, isPeerName, LineError, quoteField, readPeersFile, readPin } from './peers-file.ts';
import { parsePin, type Pin } from './pin.ts';

/** What the options of a line, or of an invitation, say. */
export interface GrantOptions {
  /** What may be used; none: everything in exported/. */
  readonly services: readonly Ask[];
  /** Whose permissions decide. */
  readonly user?: string;
  /** Where the peer may be; none: anywhere. */
  readonly from: readonly Network[];
  /** Until when, in milliseconds since 1970. */
  readonly until?: number;
  /** The `until` as it is written. */
  readonly untilText?: string;
  /** Streams at a time. */
  readonly max: number;
}

/** What a key may. */
export interface Grant extends GrantOptions {
  readonly line: number;
  readonly pin: Pin;
  readonly name: string;
}

/** A line that grants nothing: whoever shows its pin is refused, whatever stands in the lines behind it. */
export interface Denial extends LineFault {
  readonly pin: Pin;
  readonly name?: string;
}

export interface AuthorizedPeers {
  readonly lines: readonly (Grant | Denial)[];
  readonly revoked: ReadonlyMap<Pin, number>;
  readonly faults: readonly LineFault[];
}

/** Why a key may do nothing, for the log; `name` where it has one. Peers are not told. */
export interface Refusal {
  readonly refusal: string;
  readonly name?: string;
}

/** Why a line may not map its key to this user; undefined where it may. */
export type WhyNotUser = (user: string | undefined) => string | undefined;

/** The file that authorises nobody. */
export const nobody: AuthorizedPeers = { lines: [], revoked: new Map(), faults: [] };

const defaultMax = 1024;
const mostMax = 65_535;
const dayMs = 86_400_000;

/** Reads authorized_peers. A line that is not wholly understood grants nothing; see readPeersFile for what throws LineError. */
export function parseAuthorizedPeers(text: string, whyNotUser: WhyNotUser = () => undefined): AuthorizedPeers {
  const file = readPeersFile(text);
  const lines: (Grant | Denial)[] = [];
  const faults: LineFault[] = [];
  for (const each of file.lines) {
    try {
      const grant = readGrant(fieldsOf(each));
      const why = whyNotUser(grant.user);
      if (why !== undefined) throw new LineError(why);
      lines.push({ line: each.line, ...grant });
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      const fault = { line: each.line, reason: `${error.message}: the line grants nothing` };
      const pin = each.words.map(parsePin).find((word) => word !== undefined);
      faults.push(fault);
      if (pin !== undefined) lines.push({ ...fault, pin, ...(isPeerName(each.words[1] ?? '') && { name: each.words[1]! }) });
    }
  }
  return { lines, revoked: file.revoked, faults };
}

/** What a key may that comes from an address: the first line whose pin fits and whose `from` and `until` hold decides. */
export function authorize(peers: AuthorizedPeers, { pin, address, now }: { pin: Pin; address: string; now: number }): Grant | Refusal {
  const own = peers.lines.filter((line) => line.pin === pin);
  const revokedAt = peers.revoked.get(pin);
  const name = own.find((line) => line.name !== undefined)?.name;
  const refuse = (refusal: string): Refusal => ({ refusal, ...(name !== undefined && { name }) });
  if (revokedAt !== undefined) return refuse(`its key is revoked (line ${revokedAt})`);
  const refusals = own.map((line) => ({ line, refusal: 'reason' in line ? line.reason : whyNotNow(line, address, now) }));
  const deciding = refusals.find(({ line, refusal }) => 'reason' in line || refusal === undefined)?.line;
  if (deciding) return 'reason' in deciding ? refuse(deciding.reason) : deciding;
  return refuse(refusals[0]?.refusal ?? 'its key is not in authorized_peers');
}

/** Whether a grant is for this service, by its path below exported/. */
export function maySee({ services }: GrantOptions, service: Service): boolean {
  return services.length === 0 || services.some((ask) => answer(ask, { ...service, area: 'exported' }) !== undefined);
}

/** Reads the options of a line. Throws LineError. */
export function parseGrantOptions(fields: readonly string[]): GrantOptions {
  const services: Ask[] = [];
  const from: Network[] = [];
  const single = new Map<string, string>();
  for (const field of fields) {
    checkVisible(field);
    const [, name = field, value] = /^([^=]*)=(.*)$/u.exec(field) ?? [];
    if (!['service', 'user', 'from', 'until', 'max'].includes(name)) throw new LineError(`unknown option ${name}`);
    if (value === undefined || value === '') throw new LineError(`${name}= has no value`);
    if (name === 'service') services.push(readAsk(value));
    else if (name === 'from') from.push(readNetwork(value));
    else if (single.has(name)) throw new LineError(`${name}= stands there twice`);
    else single.set(name, value);
  }
  const [user, until, max] = ['user', 'until', 'max'].map((name) => single.get(name));
  return {
    services,
    ...(user !== undefined && { user: readUser(user) }),
    from,
    ...(until !== undefined && { until: readUntil(until), untilText: until }),
    max: max === undefined ? defaultMax : readMax(max),
  };
}

/** A line for authorized_peers; the options as parseGrantOptions takes them. */
export function formatGrant(pin: Pin, name: string, options: readonly string[]): string {
  return [pin, name, ...options.map(quoteField)].join(' ');
}

function readGrant([pin, name, ...options]: readonly string[]): Omit<Grant, 'line'> {
  const read = readPin(pin ?? '');
  if (name === undefined) throw new LineError('a name is missing');
  if (!isPeerName(name)) throw new LineError(`${name} is not a name`);
  return { pin: read, name, ...parseGrantOptions(options) };
}

function whyNotNow({ from, until, untilText }: Grant, address: string, now: number): string | undefined {
  const ip = parseAddress(address);
  if (from.length > 0 && !(ip && from.some((network) => isWithin(ip, network)))) return `its line is not for ${address}`;
  return until !== undefined && now >= until ? `its line ended on ${untilText}` : undefined;
}

function readAsk(text: string): Ask {
  try {
    return parseAsk(text);
  } catch (error) {
    if (error instanceof AskError) throw new LineError(`service=${text} ${error.message}`);
    throw error;
  }
}

function readNetwork(text: string): Network {
  const network = parseExactNetwork(text);
  if (!network) throw new LineError(`from=${text} is not ADDRESS[/BITS]`);
  return network;
}

function readUser(text: string): string {
  if (!/^[^\s:/,-][^\s:/,]*$/u.test(text) || /^\d+$/.test(text)) throw new LineError(`user=${text} is not the name of a user`);
  return text;
}

function readMax(text: string): number {
  const max = Number(text);
  if (!/^[1-9]\d{0,4}$/.test(text) || max > mostMax) throw new LineError(`max=${text} is not 1 to ${mostMax}`);
  return max;
}

/** A bare date is good to the end of that day, UTC; else an instant of RFC 3339. */
function readUntil(text: string): number {
  const [, date, time] = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))?$/i.exec(text) ?? [];
  const day = Date.parse(`${date}T00:00:00Z`);
  const instant = time === undefined ? day + dayMs : Date.parse(text.toUpperCase());
  // Date.parse takes a 30th of February for the 2nd of March.
  const isReal = date !== undefined && !Number.isNaN(instant) && new Date(day).toISOString().startsWith(date);
  if (!isReal) throw new LineError(`until=${text} is neither YYYY-MM-DD nor an instant of RFC 3339`);
  return instant;
}
