// Pins: every way to write one, and one way to print it.
import { createHash, randomBytes } from 'node:crypto';
import * as assert from 'uvu/assert';
import { formatPin, parsePin, pinName } from '@dipus/proto/pin';
import { suite } from './harness.ts';

const test = suite('pins');
// Its base64 has + and /.
const hash = Buffer.from('fbefbe'.repeat(10) + 'fbff', 'hex');
const pin = 'sha256//+++++++++++++++++++++++++++++++++++++++++/8=';

test('each way to write a pin is read, and printed in one', () => {
  const hex = hash.toString('hex');
  const bare = pin.slice('sha256//'.length);
  const url = hash.toString('base64url');
  const forms = [pin, bare, url, hex, hex.toUpperCase(), `SHA256:${bare}`, `SHA256:${bare.slice(0, -1)}`, `sha256:${hex}`];
  const around = [` ${pin} `, `\t${pin}\r\n`, `\ufeff${pin}`, `sha256//\u200b${bare}`, `${url}\u2060`, `sha256//${url}`, `sha256//${url}=`];
  for (const form of [...forms, ...around]) assert.is(parsePin(form), pin, JSON.stringify(form));
  assert.is(formatPin(hash), pin);
  assert.is(pinName(pin), url);
});

test('what is no pin', () => {
  const bare = pin.slice('sha256//'.length);
  const wrong = ['', 'sha256//', bare.slice(1), `${bare}=`, `A${bare}`, `md5//${bare}`, hash.toString('hex').slice(1), `sha256// ${bare}`];
  // The second ends in a digit of which two bits lie beyond the hash.
  for (const text of [...wrong, bare.replace('8=', '9='), bare.replace('8=', '$='), `sha256///${bare}`, `sha512//${bare}`])
    assert.is(parsePin(text), undefined, text);
  assert.throws(() => formatPin(hash.subarray(1)), /31 bytes/);
});

test('pins and their names lead to each other', () => {
  for (let round = 0; round < 500; round++) {
    const made = formatPin(createHash('sha256').update(randomBytes(8)).digest());
    assert.is(parsePin(made), made);
    assert.is(parsePin(pinName(made)), made);
    assert.match(pinName(made), /^[\w-]{43}$/);
  }
});

test.run();
