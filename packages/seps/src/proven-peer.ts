import type { Pin } from '@dipus/proto/pin';

/** Whoever showed an authorised key, or the exporter whose key is known. */
export interface ProvenPeer {
  readonly pin: Pin;
  /** The petname in authorized_peers, or the host as it was addressed. */
  readonly name: string;
  /** Channels at a time. */
  readonly max: number;
}
