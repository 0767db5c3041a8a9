/** Why a session was not begun, or is lost: what ERROR carries. `retry`: the same may be asked again in a moment. */
export interface SessionError {
  readonly reason: string;
  readonly retry: boolean;
}

/** A limit of this process is reached. */
export const busy: SessionError = { reason: 'busy', retry: true };
/** The modes of the two sockets differed, and do no more. */
export const permissionsChanged: SessionError = { reason: 'permissions changed, try again', retry: true };

const maxReasonLength = 4096;

/** The payload of ERROR. */
export function formatSessionError({ reason, retry }: SessionError): string {
  return JSON.stringify({ reason: reason.slice(0, maxReasonLength), retry });
}

/** Reads a payload of ERROR. One that is no such JSON is the reason itself, without retry: services of the first release send text. */
export function parseSessionError(payload: Buffer): SessionError {
  const text = payload.toString();
  try {
    const value: unknown = JSON.parse(text);
    const { reason, retry } = (value ?? {}) as Record<string, unknown>;
    if (typeof reason === 'string') return { reason, retry: retry === true };
  } catch {
    // Text.
  }
  return { reason: text, retry: false };
}
