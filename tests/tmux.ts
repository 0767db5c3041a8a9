// A real terminal that a test types into and reads.
import { eventually, type Sandbox } from './harness.ts';

export interface Screen {
  /** Waits until the screen shows this. */
  shows(pattern: RegExp): Promise<void>;
  /** Types text as it is, then presses keys by tmux's names for them. */
  type(text: string, ...keys: string[]): Promise<void>;
  resize(cols: number, rows: number): Promise<void>;
  /** What stands there now. */
  read(): Promise<string>;
}

/** Runs a shell with this environment in a terminal of its own, which goes behind `body`; its prompt is `here> `. */
export async function withScreen<T>({ dir, run }: Sandbox, env: NodeJS.ProcessEnv, body: (screen: Screen) => Promise<T>): Promise<T> {
  const tmux = async (...args: string[]): Promise<string> =>
    (await run('tmux', ['-S', `${dir}/tmux`, '-f', '/dev/null', ...args], '', { env })).stdout.toString();
  const read = (): Promise<string> => tmux('capture-pane', '-p', '-J');
  const shows = async (pattern: RegExp): Promise<void> => {
    await eventually(`${pattern} on the screen`, async () => pattern.test(await read()), 30_000).catch(async (error: Error) => {
      throw new Error(`${error.message}; it shows:\n${await read()}`);
    });
  };
  try {
    await tmux('new-session', '-d', '-x', '150', '-y', '40', 'PS1="here> " sh -i');
    await shows(/here>/);
    return await body({
      shows,
      read,
      resize: async (cols, rows) => void (await tmux('resize-window', '-x', String(cols), '-y', String(rows))),
      type: async (text, ...keys) => {
        if (text !== '') await tmux('send-keys', '-l', '--', text);
        if (keys.length > 0) await tmux('send-keys', ...keys);
      },
    });
  } finally {
    await tmux('kill-server');
  }
}
