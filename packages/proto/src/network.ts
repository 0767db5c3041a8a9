/** Whom an address stands for, as far as limits go: itself, or of IPv6 the network that one host may have to itself (RFC 6177). */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  // All hosts of a link have the same network of link-local addresses.
  if (!address.includes(':') || mapped !== undefined || /^fe80:/i.test(address)) return mapped ?? address;
  const [front = '', back] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const missing = back ? 8 - front.length - back.length : 0;
  return [...front, ...Array.from({ length: missing }, () => '0'), ...(back ?? [])].slice(0, 4).join(':');
}
