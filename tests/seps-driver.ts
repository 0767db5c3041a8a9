// A program that dials a door and writes to one channel until it is killed. argv: PORT, and on stdin the key and its certificate.
import { readFileSync } from 'node:fs';
import { dial } from '@dipus/seps/dial';

const [key, cert] = JSON.parse(readFileSync(0, 'utf8')) as [string, string];
const judge = (pin: Parameters<Parameters<typeof dial>[0]['judge']>[0]): { pin: typeof pin; name: string; max: number } => ({
  pin,
  name: 'door',
  max: 1,
});
const channels = await dial({ host: '127.0.0.1', port: Number(process.argv[2]), identity: { key, cert }, judge });
const channel = channels.open();
channel.on('error', () => {});
const write = (): void => void channel.write(Buffer.alloc(65_536), (error) => void (error || setImmediate(write)));
write();
console.log('writing');
