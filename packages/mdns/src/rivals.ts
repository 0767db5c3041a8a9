// What packets say about the names that an exporter announces: who asks for them, and who else has them.
import { hostAddress } from './links.ts';
import { isSameName, otherTtl, recordType, serviceType, serviceTypes, type Packet } from './packet.ts';

/** Full names, as they stand in records. */
export interface Names {
  readonly name: string;
  readonly host: string;
}

/** What somebody's answer says about our names. */
export interface Claim {
  /** Another exporter has the instance's name. */
  readonly takesName: boolean;
  /** Another machine has the host's name. */
  readonly takesHost: boolean;
  /** Addresses of ours that the answer gives for the host. */
  readonly own: readonly string[];
}

/** `isOwn` tells of an address whether it is of this machine; `sender` is one. Undefined where the packet says nothing of the names. */
export function claimIn(
  packet: Packet,
  names: Names & { port: number },
  { sender, isOwn }: { readonly sender: string; readonly isOwn: (address: string) => boolean },
): Claim | undefined {
  if (packet.header.qr !== 1) return undefined;
  const records = [...packet.answer, ...packet.additional].filter(({ ttl }) => ttl > 0);
  const ofName = records.filter(({ name, type }) => type === recordType.srv && isSameName(name, names.name));
  const addresses = records.filter(({ name }) => isSameName(name, names.host)).flatMap((record) => hostAddress(record, '') ?? []);
  if (ofName.length === 0 && addresses.length === 0) return undefined;
  return {
    takesName: ofName.some(({ port }) => port !== names.port || !isOwn(sender)),
    takesHost: addresses.some((address) => !isOwn(address)),
    own: addresses.filter(isOwn).map((address) => address.replace('%', '')),
  };
}

/** Whether a query asks for something that we should answer. */
export function isAsked(packet: Packet, names: Names): boolean {
  if (packet.header.qr !== 0) return false;
  const isShared = (name: string): boolean => isSameName(name, serviceType) || isSameName(name, serviceTypes);
  const asked = packet.question.filter(({ name, type }) => {
    if (isShared(name)) return type === recordType.ptr || type === recordType.any;
    return isSameName(name, names.name) || isSameName(name, names.host);
  });
  // Whoever knows the pointer already has asked those whom it does not know (RFC 6762 7.1).
  const isKnown = packet.answer.some(({ type, data, ttl }) => {
    return type === recordType.ptr && isSameName(String(data), names.name) && ttl >= otherTtl / 2;
  });
  return asked.length > 0 && !(isKnown && asked.every(({ name }) => isShared(name)));
}
