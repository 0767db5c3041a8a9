// Names and numbers of the signals that have a name in no table: real-time ones, as kill(1) writes them.
const first = 34;
const last = 64;

/** The number of `RTMIN`, `RTMIN+N` or `RTMAX`, as the GNU C library counts them; undefined for any other name. */
export function realTimeNumber(name: string): number | undefined {
  if (name === 'RTMAX') return last;
  const offset = /^RTMIN(?:\+(\d{1,2}))?$/.exec(name);
  if (!offset) return undefined;
  const number = first + Number(offset[1] ?? 0);
  return number <= last ? number : undefined;
}

/** The name of a real-time signal: `RTMIN`, `RTMIN+N`, `RTMAX`; undefined for any other number. */
export function realTimeName(number: number): string | undefined {
  if (number === last) return 'RTMAX';
  if (number < first || number > last) return undefined;
  return number === first ? 'RTMIN' : `RTMIN+${number - first}`;
}
