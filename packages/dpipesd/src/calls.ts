// Which services a stage may be told to call: whoever may run nothing but what was named must not make this host call others.
import { UsageError } from '@dipus/cli/errors';
import { printable } from '@dipus/proto/printable';
import { sepPort, type Uri } from '@dipus/proto/uri';

/** Whether a stage may call what is at a URI. */
export type MayCall = (uri: Uri) => boolean;

export const callsAnybody: MayCall = () => true;

/** Only services of these hosts, `HOST`, `HOST:PORT` or `*` each, and none of this one. Throws UsageError. */
export function callsThese(texts: readonly string[]): MayCall {
  const hosts = texts.map(parseHost);
  return (uri) => {
    if (uri.scheme === 'unix') return texts.includes('*');
    if (uri.scheme === 'daemon') return false;
    return hosts.some(({ host, port }) => host === '*' || (host === uri.host && (port === undefined || port === (uri.port ?? sepPort))));
  };
}

function parseHost(text: string): { host: string; port?: number } {
  const [, bracketed, plain, port] = /^(?:\[([^\]/]+)\]|([^:/[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) throw new UsageError(`--call ${printable(text)} is not HOST[:PORT] or *`, 'an IPv6 address stands in brackets');
  return { host, ...(port !== undefined && { port: Number(port) }) };
}
