import {
  compareBytes,
  isProtocol,
  isTooLong,
  maxDepth,
  maxNameBytes,
  nameAndHost,
  parseServiceName,
  formatServiceName,
  type Service,
} from './name.ts';
import { isPrintable, printable } from './printable.ts';
import { wildcardMatches, wildMatches } from './wildcard.ts';

/** What somebody looks for: the segments between slashes; none asks for everything. */
export interface Ask {
  readonly segments: readonly string[];
  readonly hasGlob: boolean;
}

/** Asks for everything. */
export const everything: Ask = { segments: [], hasGlob: false };

/** A service and the area (`local`, `exported`, a user) in which it lies. */
export interface ServiceInArea extends Service {
  readonly area: string;
}

/** How an ask was answered. Lower ranks come first; `named` says that the ask names this very service. */
export interface Answer {
  readonly rank: number;
  readonly named: boolean;
}

/** An ask that cannot be parsed; the message is the reason. */
export class AskError extends Error {}

const rank = { path: 0, name: 1, protocol: 2, protocolAndName: 3, prefix: 4, glob: 5 } as const;
const below: Answer = { rank: rank.prefix, named: false };

/** Reads an ask as people write it: `…` stands for `...`, one `/` at the end is allowed. Throws AskError. */
export function parseAsk(text: string): Ask {
  const plain = text.replaceAll('…', '...').replace(/\/$/, '');
  return askOf(plain === '' ? [] : plain.split('/'));
}

/** An ask from segments that are already decoded. Throws AskError for what can be no path of the tree. */
export function askOf(segments: readonly string[]): Ask {
  for (const segment of segments) {
    if (segment === '') throw new AskError('has an empty part');
    if (segment === '.' || segment === '..') throw new AskError(`has a part ${segment}`);
    if (segment.includes('/') || !isPrintable(segment)) throw new AskError(`has a part ${printable(segment)} that no name may have`);
  }
  if (!segments.some((segment) => segment.includes('*'))) return { segments: bounded(segments), hasGlob: false };
  const short = segments.map((segment) => (segment === '**' ? segment : segment.replace(/\*+/g, '*')));
  return { segments: bounded(short.filter((segment, at) => segment !== '**' || short[at - 1] !== '**')), hasGlob: true };
}

/** An area, a protocol and a name, each with as many `*` as can matter. */
function bounded(segments: readonly string[]): readonly string[] {
  const isLong = (segment: string): boolean => segment.replaceAll('*', '').length > maxNameBytes;
  const most = 2 * (maxDepth + 2) + 1;
  if (segments.length > most || segments.some(isLong) || isTooLong(segments.join('/')))
    throw new AskError('is longer than any path of a service');
  return segments;
}

/** Whether, and how well, a service answers an ask. Pure; the best of the possible readings counts. */
export function answer(ask: Ask, service: ServiceInArea): Answer | undefined {
  const whole = answerWithoutArea(ask, ask.segments, service);
  if (ask.segments[0] !== service.area) return whole;
  const inArea = answerWithoutArea(ask, ask.segments.slice(1), service);
  if (!whole || (inArea && inArea.rank < whole.rank)) return inArea;
  return whole;
}

/** Whether an ask can name one very service. */
export function canName({ segments, hasGlob }: Ask): boolean {
  return !hasGlob && parseServiceName(segments.at(-1) ?? '') !== undefined;
}

/** The services that answer an ask, in the one order that "first match" means. */
export function matches<T extends ServiceInArea>(ask: Ask, services: Iterable<T>): { service: T; named: boolean }[] {
  const found: (Ranked & { service: T; named: boolean })[] = [];
  for (const service of services) {
    const result = answer(ask, service);
    if (result) found.push({ service, named: result.named, rank: result.rank, file: nameAndHost(service) });
  }
  return found.sort(compareRanked);
}

interface Ranked {
  readonly service: ServiceInArea;
  readonly rank: number;
  /** The name of its file without its number. */
  readonly file: string;
}

/** By rank and area, by the bytes of their paths without their numbers, and by these. */
function compareRanked(a: Ranked, b: Ranked): number {
  return a.rank - b.rank || compareAreas(a.service.area, b.service.area) || comparePaths(a, b) || a.service.instance - b.service.instance;
}

function comparePaths(a: Ranked, b: Ranked): number {
  // Most are beside each other.
  if (a.service.protocol === b.service.protocol) return compareBytes(a.file, b.file);
  return compareBytes(pathOf(a), pathOf(b));
}

function pathOf({ service: { protocol }, file }: Ranked): string {
  return protocol === '' ? file : `${protocol}/${file}`;
}

/** local, exported, then imports by user. */
export function compareAreas(a: string, b: string): number {
  if (a === b) return 0;
  return areaOrder(a) - areaOrder(b) || compareBytes(a, b);
}

function areaOrder(area: string): number {
  if (area === 'local') return 0;
  return area === 'exported' ? 1 : 2;
}

function answerWithoutArea(ask: Ask, segments: readonly string[], service: ServiceInArea): Answer | undefined {
  if (ask.hasGlob) return answerGlob(segments, service);
  const last = segments.at(-1);
  if (last === undefined) return below;
  const directory = segments.slice(0, -1).join('/');
  const whole = segments.join('/');
  const named = nameForm(last, service);
  if (directory === service.protocol && named === 'whole') return { rank: rank.path, named: true };
  if (directory === '' && named) return { rank: rank.name, named: named === 'whole' };
  if (whole === service.protocol) return { rank: rank.protocol, named: false };
  if (directory === service.protocol && named) return { rank: rank.protocolAndName, named: false };
  if (service.protocol.startsWith(`${whole}/`)) return { rank: rank.prefix, named: false };
  return undefined;
}

function nameForm(text: string, service: Service): 'whole' | 'part' | undefined {
  if (text === service.name || text === `${service.name}.${service.host}`) return 'part';
  return text === formatServiceName(service) ? 'whole' : undefined;
}

function answerGlob(segments: readonly string[], service: ServiceInArea): Answer | undefined {
  const protocol = service.protocol === '' ? [] : service.protocol.split('/');
  const names = [service.name, `${service.name}.${service.host}`, formatServiceName(service)];
  const readings = [protocol, ...names.map((name) => [name]), ...names.map((name) => [...protocol, name])];
  return readings.some((reading) => globMatches(segments, reading)) ? { rank: rank.glob, named: false } : undefined;
}

function globMatches(pattern: readonly string[], text: readonly string[]): boolean {
  return wildMatches({ length: pattern.length, isWild: (at) => pattern[at] === '**' }, text.length, (at, position) =>
    segmentMatches(pattern[at]!, text[position]!),
  );
}

// Halves of surrogate pairs need no care: what follows a star never begins with the second one.
function segmentMatches(pattern: string, text: string): boolean {
  return pattern.includes('*') ? wildcardMatches(pattern, text) : pattern === text;
}

/** Splits `NAME[...N][/PROTOCOL]`, as dserve takes it. Undefined where it is neither. */
export function parseServiceToMake(text: string, host: string): { name: string; protocol: string; instance?: number } | undefined {
  const plain = text.replaceAll('…', '...');
  const slash = plain.indexOf('/');
  const protocol = slash < 0 ? '' : plain.slice(slash + 1);
  const [, name, number] = /^([^.]*)(?:\.\.\.(\d+))?$/u.exec(slash < 0 ? plain : plain.slice(0, slash)) ?? [];
  if (name === undefined || !isProtocol(protocol) || (slash >= 0 && protocol === '')) return undefined;
  const parsed = parseServiceName(`${name}.${host}...${number ?? 0}`);
  if (!parsed) return undefined;
  return number === undefined ? { name, protocol } : { name, protocol, instance: parsed.instance };
}
