/** Payloads of frames that are JSON objects. Whatever a peer sends, nothing here throws. */

/** undefined: no object. */
export function parseObject(payload: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(payload.toString());
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The inverse of parseObject. */
export function formatPayload(value: object): string {
  return JSON.stringify(value);
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A whole number from 0 to `max`. */
export function isCount(value: unknown, max: number = Number.MAX_SAFE_INTEGER): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

/** A list of texts, of one at least. */
export function isTexts(value: unknown, max: number = 4096): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.length <= max && value.every((one) => typeof one === 'string');
}
