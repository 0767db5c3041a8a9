/** A service as the user asks for it. */
export interface ServiceRequest {
  readonly command: string;
  readonly area: 'local' | 'exported';
  readonly protocol: string;
  readonly name: string;
  readonly host: string;
  readonly instance?: number;
  readonly mode?: number;
  readonly group?: string;
  readonly max: number;
  readonly hasTerminal: boolean;
  /** Its programs may have the connections of other hosts themselves. */
  readonly isDirect: boolean;
}
