// An etcd of a stage's own.
import { freePort, listens } from './pair.mjs';

/** Its process, the URL of the registry in it, and how to write there by hand. */
export async function startEtcd(stage) {
  const port = await freePort();
  const clients = `http://127.0.0.1:${port}`;
  const own = ['--data-dir', `${stage.dir}/etcd`, '--listen-client-urls', clients, '--advertise-client-urls', clients];
  const child = stage.start('etcd', [...own, '--listen-peer-urls', 'http://127.0.0.1:0', '--logger', 'zap', '--log-level', 'error'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  child.stdout.resume();
  await listens(port);
  const encode = (text) => Buffer.from(text).toString('base64');
  const call = async (path, body) => {
    const response = await fetch(`${clients}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`etcd: ${await response.text()}`);
    return response.json();
  };
  return {
    child,
    url: `etcd://127.0.0.1:${port}`,
    put: (key, value) => call('kv/put', { key: encode(key), value: encode(value) }),
    remove: (key) => call('kv/deleterange', { key: encode(key) }),
    /** In one transaction; at most 128. */
    putAll: (pairs) =>
      call('kv/txn', { success: pairs.map(([key, value]) => ({ request_put: { key: encode(key), value: encode(value) } })) }),
  };
}
