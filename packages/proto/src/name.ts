import { isPrintable } from './printable.ts';

/** NAME, HOST and N of `NAME.HOST...N`. */
export interface ServiceName {
  readonly name: string;
  readonly host: string;
  readonly instance: number;
  /** `NAME.HOST`, where it need not be put together. */
  readonly nameAndHost?: string;
}

/** A service by its place: its name and its protocol, segments joined by `/`, empty for none. */
export interface Service extends ServiceName {
  readonly protocol: string;
}

/** The top of the tree, on every host, unless somebody says otherwise. */
export const defaultRoot = '/tmp/dipus';

export const maxInstance = 65_535;
/** The longest path of a socket, in bytes, from the top of the file system or, of what another host has, from its area. */
export const maxTreePathBytes = 4000;
/** The most segments of a protocol. */
export const maxDepth = 64;
/** The longest file name, in bytes (NAME_MAX). */
export const maxNameBytes = 255;
const SERVICE_NAME = /^([^.\s/]+)\.([^.\s/]+(?:\.[^.\s/]+)*)\.\.\.(0|[1-9]\d{0,4})$/u;
const temporaryName = /^\.(?:.+\.\.\.\d+)?~[0-9a-f]{8}$/u;
const birthDirectory = /\/\.~[0-9a-f]{8}$/;
const asciiName = /^[!-~]+$/;

/** Whether text is `NAME.HOST...N`. */
export function isServiceName(text: string): boolean {
  return SERVICE_NAME.test(text) && instanceOf(text) <= maxInstance && isFileName(text);
}

/** Reads `NAME.HOST...N`; undefined where the text is no service name. Inverse of formatServiceName. */
export function parseServiceName(text: string): ServiceName | undefined {
  if (!isServiceName(text)) return undefined;
  const dot = text.indexOf('.');
  return { name: text.slice(0, dot), host: text.slice(dot + 1, text.lastIndexOf('...')), instance: instanceOf(text) };
}

function instanceOf(text: string): number {
  return Number(text.slice(text.lastIndexOf('.') + 1));
}

export function formatServiceName(service: ServiceName): string {
  return `${service.name}.${service.host}...${service.instance}`;
}

/** The file name of the control socket that stands beside a service. */
export function controlName(fileName: string): string {
  return `.${fileName}`;
}

/** The name of the directory in which a claimer binds its sockets before it links them to their names. */
export function birthName(hex8: string): string {
  return `.~${hex8}`;
}

/** The name under which a claimer binds the socket that it links to `fileName`. */
export function bindingName(fileName: string, hex8: string): string {
  return `.${fileName}~${hex8}`;
}

/** Whether a file name is one under which a claimer binds a socket or the directory for it, before the final name is linked. */
export function isBindingName(fileName: string): boolean {
  return temporaryName.test(fileName);
}

/** Where the socket stands that was bound at `path`, as /proc/net/unix has it: where its claimer has linked it, if it was bound by one. */
export function publishedPath(path: string): string {
  const slash = path.lastIndexOf('/');
  // There may be very many, and few are hidden.
  if (path[slash + 1] !== '.') return path;
  const name = path.slice(slash + 1);
  if (!isBindingName(name)) return path;
  return `${path.slice(0, slash).replace(birthDirectory, '')}/${name.slice(1, -9)}`;
}

/** `protocol/NAME.HOST...N`: the path of a service below its area. */
export function servicePath(service: Service): string {
  const file = formatServiceName(service);
  return service.protocol === '' ? file : `${service.protocol}/${file}`;
}

/** Whether a path is longer than any tree holds. */
export function isTooLong(path: string): boolean {
  // No character of UTF-16 has more than three bytes.
  return path.length * 3 > maxTreePathBytes && utf8Bytes(path) > maxTreePathBytes;
}

/** Reads a path below an area; undefined where it is not the path of a service. Inverse of servicePath. */
export function parseServicePath(text: string): Service | undefined {
  const segments = text.split('/');
  if (isTooLong(text) || segments.length > maxDepth + 1) return undefined;
  const name = parseServiceName(segments.pop()!);
  if (!name || !segments.every(isSegment)) return undefined;
  return { ...name, protocol: segments.join('/') };
}

/** Whether text may be NAME: 1 or more characters, no `.`, `/` or white space, printable. */
export function isName(text: string): boolean {
  return /^[^.\s/]+$/u.test(text) && isFileName(text);
}

/** Whether text may be HOST: as NAME, with single dots allowed inside. */
export function isHost(text: string): boolean {
  return /^[^.\s/]+(?:\.[^.\s/]+)*$/u.test(text) && isFileName(text);
}

/** Whether text may be one segment of a protocol. */
export function isSegment(text: string): boolean {
  return text !== '' && !text.startsWith('.') && !text.includes('/') && isFileName(text) && !SERVICE_NAME.test(text);
}

/** Whether text may be a protocol: segments joined by `/`, or nothing. */
export function isProtocol(text: string): boolean {
  const segments = text.split('/');
  return text === '' || (!isTooLong(text) && segments.length <= maxDepth && segments.every(isSegment));
}

/** Orders text as its UTF-8 bytes do, as `LC_ALL=C sort`. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left === right) continue;
    // Surrogates stand for characters above all others of UTF-16.
    const isHighLeft = left >= 0xd800 && left <= 0xdfff;
    const isHighRight = right >= 0xd800 && right <= 0xdfff;
    if (isHighLeft !== isHighRight) return isHighLeft ? 1 : -1;
    return left - right;
  }
  return a.length - b.length;
}

/** `NAME.HOST`. */
export function nameAndHost(service: ServiceName): string {
  return service.nameAndHost ?? `${service.name}.${service.host}`;
}

// U+FFFD is what a file name that is not UTF-8 reads as; such a name could not be opened again.
function isFileName(text: string): boolean {
  if (asciiName.test(text)) return text.length <= maxNameBytes;
  return utf8Bytes(text) <= maxNameBytes && isPrintable(text) && !text.includes('\ufffd');
}

function utf8Bytes(text: string): number {
  return Buffer.byteLength(text, 'utf8');
}
