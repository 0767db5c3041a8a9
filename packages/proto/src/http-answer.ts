/** An answer of HTTP to whoever is refused, where no server writes it. */
export interface HttpAnswer {
  /** With its words: `404 Not Found`. */
  readonly status: string;
  /** Besides those of the text, and of the end of the connection. */
  readonly headers?: Readonly<Record<string, string>>;
  /** One line, without its end. */
  readonly text: string;
}

/** All of an answer behind which the connection is closed (RFC 9112). */
export function formatHttpAnswer({ status, headers = {}, text }: HttpAnswer): string {
  const length = Buffer.byteLength(text) + 1;
  const all = { 'Content-Type': 'text/plain; charset=utf-8', ...headers, 'Content-Length': String(length), Connection: 'close' };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n${text}\n`;
}
