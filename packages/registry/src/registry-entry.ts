// What a registry has: dipus-registry(5).
import { parseObject } from '@dipus/proto/json-payload';
import { isHost } from '@dipus/proto/name';
import { parsePin, type Pin } from '@dipus/proto/pin';
import { isPrintable } from '@dipus/proto/printable';
import { isHostUri, parseUri, UriError } from '@dipus/proto/uri';

/** Something that can be reached at a URI, as whoever has registered it says. */
export interface RegistryEntry {
  /** As isEntryName has it. */
  readonly name: string;
  readonly uri: string;
  /** What its host is called. */
  readonly host: string;
  /** The pin that it says its key has, which proves nothing. */
  readonly pin?: Pin;
  /** When it began, in milliseconds since 1970. */
  readonly since?: number;
}

/** The most bytes of a value. */
export const maxValueBytes = 4096;

/** The value of an entry, as text of one line. */
export function formatValue({ uri, host, pin, since }: RegistryEntry): string {
  return JSON.stringify({ uri, host, ...(pin !== undefined && { pin }), ...(since !== undefined && { since }) });
}

/** Reads a value, which is a JSON object or a URI alone. Whatever it is, this never throws: undefined for what is none. */
export function parseValue(name: string, text: string): RegistryEntry | undefined {
  if (Buffer.byteLength(text) > maxValueBytes) return undefined;
  const value = text.startsWith('{') ? parseObject(Buffer.from(text)) : { uri: text.trim() };
  const { uri, host, pin, since } = value ?? {};
  const uriHost = typeof uri === 'string' ? hostOf(uri) : undefined;
  if (typeof uri !== 'string' || uriHost === undefined) return undefined;
  const known = typeof pin === 'string' ? parsePin(pin) : undefined;
  return {
    name,
    uri,
    host: typeof host === 'string' && isHost(host) ? host : uriHost,
    ...(known !== undefined && { pin: known }),
    ...(typeof since === 'number' && since >= 0 && { since }),
  };
}

/** The host of a URI that other tools take, and that can be printed; undefined for any other text. */
function hostOf(text: string): string | undefined {
  if (!/^[a-z]+:\/\/\S+$/.test(text) || !isPrintable(text)) return undefined;
  try {
    const uri = parseUri(text);
    return isHostUri(uri) ? uri.host : undefined;
  } catch (error) {
    if (error instanceof UriError) return undefined;
    throw error;
  }
}
