import type { Connection } from './connection.ts';
import { judgeHostKey } from './host-key.ts';
import type { KnownKey } from './known-hosts.ts';
import type { LoginSetting } from './login.ts';
import type { SshConfig } from './ssh-config.ts';

/** From the first line to encryption: the server has shown its key, it was judged, and it was proved. Rejects with Failure. */
export async function shakeHands(
  connection: Connection,
  config: SshConfig,
  { known, setting }: { known: readonly KnownKey[]; setting: LoginSetting },
): Promise<void> {
  await connection.hear(['header'], config.connectMs);
  const { values } = await connection.hear(['fingerprint']);
  const [blob, permit] = values as [Buffer, (isPermitted: boolean) => void];
  const accept = await connection.orLost(
    judgeHostKey(blob, config, { known, setting, over: connection.over, address: connection.address }),
  );
  // The library says so within permit() where the server has been waiting.
  const ready = connection.hear(['ready']);
  permit(true);
  await ready;
  accept();
}
