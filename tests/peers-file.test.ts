// The grammar of known_peers and authorized_peers: what each line grants, and that whatever is not understood grants nothing.
import * as assert from 'uvu/assert';
import { authorize, formatGrant, maySee, parseAuthorizedPeers, parseGrantOptions, type Grant, type WhyNotUser } from '@dipus/proto/grant';
import { formatKnownLine, knownHost, parseKnownPeers } from '@dipus/proto/known-line';
import { isWithin, parseAddress, parseExactNetwork } from '@dipus/proto/ip-address';
import { fieldsOf, isPeerName, LineError, quoteField } from '@dipus/proto/peers-file';
import { formatPin, pinName, type Pin } from '@dipus/proto/pin';
import { suite } from './harness.ts';

const test = suite('peers-file');
const [kig, bob, lost] = [1, 2, 3].map((byte) => formatPin(Buffer.alloc(32, byte))) as [Pin, Pin, Pin];
const now = Date.parse('2026-11-26T12:00:00Z');

interface Asked {
  readonly pin?: Pin;
  readonly address?: string;
  readonly at?: number;
  readonly why?: WhyNotUser;
}

function ask(text: string, { pin = kig, address = '192.168.1.7', at = now, why }: Asked = {}): string {
  const decided = authorize(parseAuthorizedPeers(text, why), { pin, address, now: at });
  return 'refusal' in decided ? decided.refusal : `line ${decided.line}`;
}

const nothing = ': the line grants nothing';

test('what an option of a line grants, or why the line grants nothing', () => {
  const table: [options: string, decided: string][] = [
    ['', 'line 1'],
    ['user=kig', 'line 1'],
    ['user=kig service=audio service=lame.* from=192.168.1.0/24 until=2027-01-31 max=8', 'line 1'],
    ['usr=kig', `unknown option usr${nothing}`],
    ['User=kig', `unknown option User${nothing}`],
    ['user', `user= has no value${nothing}`],
    ['user=', `user= has no value${nothing}`],
    ['user=kig user=kig', `user= stands there twice${nothing}`],
    ['user=0', `user=0 is not the name of a user${nothing}`],
    ['user=00', `user=00 is not the name of a user${nothing}`],
    ['user=-x', `user=-x is not the name of a user${nothing}`],
    ['user=a,b', `user=a,b is not the name of a user${nothing}`],
    ['user=root', 'line 1'],
    ['service=', `service= has no value${nothing}`],
    ['service=""', `service= has no value${nothing}`],
    ['service=a//b', `service=a//b has an empty part${nothing}`],
    ['service=../x', `service=../x has a part ..${nothing}`],
    ['service="a b"', 'line 1'],
    ['from=192.168.1.7', 'line 1'],
    ['from=192.168.1.8', 'its line is not for 192.168.1.7'],
    ['from=192.168.1.8 from=192.168.1.0/24', 'line 1'],
    ['from=192.168.1.7/24', `from=192.168.1.7/24 is not ADDRESS[/BITS]${nothing}`],
    ['from=192.168.1.0/33', `from=192.168.1.0/33 is not ADDRESS[/BITS]${nothing}`],
    ['from=laptop', `from=laptop is not ADDRESS[/BITS]${nothing}`],
    ['until=2026-11-26', 'line 1'],
    ['until=2026-11-25', 'its line ended on 2026-11-25'],
    ['until=2026-11-26T12:00:01Z', 'line 1'],
    ['until=2026-11-26T12:00:00Z', 'its line ended on 2026-11-26T12:00:00Z'],
    ['until=2026-11-26T14:00:00+02:00', 'its line ended on 2026-11-26T14:00:00+02:00'],
    ['until=2026-11-26t12:30:00.5z', 'line 1'],
    ['until=2027-02-30', `until=2027-02-30 is neither YYYY-MM-DD nor an instant of RFC 3339${nothing}`],
    ['until=2027-13-01', `until=2027-13-01 is neither YYYY-MM-DD nor an instant of RFC 3339${nothing}`],
    ['until=2027-01-31T12:00', `until=2027-01-31T12:00 is neither YYYY-MM-DD nor an instant of RFC 3339${nothing}`],
    ['until=2027-02-30T12:00:00Z', `until=2027-02-30T12:00:00Z is neither YYYY-MM-DD nor an instant of RFC 3339${nothing}`],
    ['until=tomorrow', `until=tomorrow is neither YYYY-MM-DD nor an instant of RFC 3339${nothing}`],
    ['until=2027-01-01 until=2027-01-01', `until= stands there twice${nothing}`],
    ['max=1', 'line 1'],
    ['max=0', `max=0 is not 1 to 65535${nothing}`],
    ['max=65536', `max=65536 is not 1 to 65535${nothing}`],
    ['max=1e3', `max=1e3 is not 1 to 65535${nothing}`],
    ['max=1 max=2', `max= stands there twice${nothing}`],
    ['"service=a', `its quotes are not right${nothing}`],
    ['service="a\\b"', `its quotes are not right${nothing}`],
    ['# mine', `unknown option #${nothing}`],
    ['ser\u200bvice=a', `ser?vice=a has an invisible character${nothing}`],
    ['service=a\u00a0b', 'line 1'],
    ['service=a\u0007', `it has a control character${nothing}`],
    ['service=a\ufffd', `service=a? has an invisible character${nothing}`],
  ];
  for (const [options, decided] of table) assert.is(ask(`${kig} laptop ${options}\n`), decided, options);
});

test('what stands in front of the options', () => {
  const table: [text: string, decided: string][] = [
    [`${kig} laptop\r\n`, 'line 1'],
    [`\ufeff${kig} laptop`, 'line 1'],
    [`\ufeff# mine\r\n\r\n \t${kig}\tlaptop \t user=kig\t\r\n`, 'line 3'],
    [`${pinName(kig)} laptop`, 'line 1'],
    [`sha256//\u200b${kig.slice(8)} laptop`, 'line 1'],
    [`"${kig}" laptop`, 'line 1'],
    [kig, `a name is missing${nothing}`],
    [`${kig} lap,top`, `lap,top is not a name${nothing}`],
    [`${kig} ..`, `.. is not a name${nothing}`],
    [`${kig} ${'n'.repeat(65)}`, `${'n'.repeat(65)} is not a name${nothing}`],
    [`${kig} lap\u200btop`, `lap\u200btop is not a name${nothing}`],
    [`${kig}\u00a0laptop`, `${kig}\u00a0laptop is not a pin${nothing}`],
    [`laptop ${kig}`, `laptop is not a pin${nothing}`],
    [`${kig} laptop\r${bob} bob`, `it has a control character${nothing}`],
    [`${bob} bob`, 'its key is not in authorized_peers'],
    [`${kig.slice(0, -4)} laptop`, 'its key is not in authorized_peers'],
    ['', 'its key is not in authorized_peers'],
  ];
  for (const [text, decided] of table) assert.is(ask(text), decided, text);
});

test('the first line that fits decides, and one that is not understood decides too', () => {
  const wide = `${kig} wide`;
  const narrow = `${kig} narrow service=audio`;
  assert.is(ask(`${narrow}\n${wide}`), 'line 1');
  assert.is(ask(`${kig} far from=10.0.0.0/8\n${kig} old until=2020-01-01\n${narrow}\n${wide}`), 'line 3');
  assert.is(ask(`${kig} narrow srvice=audio\n${wide}`), `unknown option srvice${nothing}`);
  assert.is(ask(`${narrow}\n${kig} wide bad=1`), 'line 1');
  assert.is(ask(`${kig} "narrow\n${wide}`), `its quotes are not right${nothing}`);
  assert.is(ask(`${bob} bob usr=x\n${wide}`), 'line 2');
  assert.is(ask(`${wide}\n@revoked ${kig}`), 'its key is revoked (line 2)');
  assert.is(ask(`@revoked ${kig} laptop service=audio\n${wide}`), 'its key is revoked (line 1)');
  assert.is(ask(`@revoked ${lost}\n${wide}`), 'line 2');
});

test('a marker that is not understood makes the whole file unreadable', () => {
  for (const [line, reason] of [
    ['@revoked', 'line 2: @revoked without a pin'],
    [`@revoked ${kig.slice(0, -4)}`, 'line 2: @revoked without a pin'],
    [`@revokd ${kig}`, 'line 2: unknown marker @revokd'],
    [`@ ${kig}`, 'line 2: unknown marker @'],
  ] as const) {
    for (const parse of [parseAuthorizedPeers, parseKnownPeers]) {
      assert.throws(
        () => parse(`# mine\n${line}\n`),
        (error: Error) => error instanceof LineError && error.message === reason,
        line,
      );
    }
  }
});

test('users that a line may not be mapped to', () => {
  const why: WhyNotUser = (user) => (user === 'bob' ? 'user=bob needs an exporter that root has started' : undefined);
  assert.is(ask(`${kig} laptop user=bob`, { why }), `user=bob needs an exporter that root has started${nothing}`);
  assert.is(ask(`${kig} laptop user=kig`, { why }), 'line 1');
  assert.is(ask(`${kig} laptop`, { why: (user) => (user === undefined ? 'no user=' : undefined) }), `no user=${nothing}`);
});

test('each fault is told with its line', () => {
  const { faults } = parseAuthorizedPeers(`${kig} laptop usr=kig\n\nnonsense\n${bob} bob\n`);
  assert.equal(faults, [
    { line: 1, reason: `unknown option usr${nothing}` },
    { line: 3, reason: `nonsense is not a pin${nothing}` },
  ]);
});

test('a line that ended keeps its name for the log', () => {
  const peers = parseAuthorizedPeers(`${kig} laptop until=2020-01-01`);
  assert.equal(authorize(peers, { pin: kig, address: '::1', now }), { refusal: 'its line ended on 2020-01-01', name: 'laptop' });
  assert.is(ask(`${kig} laptop until=2027-01-01`, { at: 0 }), 'line 1');
  assert.is(ask(`${kig} laptop until=2027-01-01`, { at: Date.parse('2099-01-01') }), 'its line ended on 2027-01-01');
  assert.is(ask(`${kig} laptop`, { at: Date.parse('2099-01-01') }), 'line 1');
});

test('which services a line is for', () => {
  const lame = { name: 'lame', host: 'encode', instance: 0, protocol: 'audio/x-wav/to/audio/mpeg' };
  const table: [options: string[], may: boolean][] = [
    [[], true],
    [['service=audio'], true],
    [['service=lame'], true],
    [['service=lame.*'], true],
    [['service=exported/audio'], true],
    [['service=audio/x-wav/to/audio/mpeg/lame.encode...0'], true],
    [['service=http', 'service=lame'], true],
    [['service=http'], false],
    [['service=local/audio'], false],
    [['service=lame.encode...1'], false],
  ];
  for (const [options, may] of table) assert.is(maySee(parseGrantOptions(options), lame), may, options.join(' '));
});

test('addresses that from= fits', () => {
  const table: [network: string, address: string, fits: boolean][] = [
    ['192.168.1.0/24', '::ffff:192.168.1.7', true],
    ['192.168.1.0/24', '::ffff:c0a8:0107', true],
    ['192.168.1.0/24', '192.168.2.7', false],
    ['::ffff:192.168.1.0/120', '192.168.1.9', true],
    ['::ffff:192.168.1.7', '192.168.1.7', true],
    ['0.0.0.0/0', '8.8.8.8', true],
    ['0.0.0.0/0', '2001:db8::1', false],
    ['::/0', '8.8.8.8', false],
    ['::/0', '2001:db8::1', true],
    ['10.0.0.0/9', '10.127.255.255', true],
    ['10.0.0.0/9', '10.128.0.0', false],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['::1', '::1', true],
    ['::1', '127.0.0.1', false],
  ];
  for (const [network, address, fits] of table) {
    assert.is(isWithin(parseAddress(address)!, parseExactNetwork(network)!), fits, `${network} ${address}`);
  }
  for (const text of [
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4.',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '::1.2.3',
    'fe80',
    '',
  ])
    assert.is(parseAddress(text), undefined, text);
  for (const text of ['1.2.3.4/', '1.2.3.4/33', '1.2.3.4/-1', '::/129', '::ffff:1.2.3.0/90', 'fe80::1%eth0', '10.0.0.0/8 ', '10.0.0.1/8'])
    assert.is(parseExactNetwork(text), undefined, text);
  for (const text of ['::', '1::', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8', '1:2:3:4:5:6:1.2.3.4', '::1.2.3.4'])
    assert.ok(parseAddress(text), text);
});

test('known_peers: which hosts a line names', () => {
  const text = [
    '# mine',
    `encode,Encode.local  ${kig}  encode`,
    `10.0.0.7:7371 ${bob}`,
    `[::1]:7370,[FE80::1%eth0]:1 ${bob} six`,
    `h:7370 ${kig}`,
  ].join('\r\n');
  const { lines, faults } = parseKnownPeers(text);
  assert.equal(faults, []);
  assert.equal(
    lines.map(({ hosts }) => hosts),
    [['encode', 'encode.local'], ['10.0.0.7:7371'], ['[::1]', '[fe80::1%eth0]:1'], ['h']],
  );
  assert.equal(lines[0], { line: 2, hosts: ['encode', 'encode.local'], pin: kig, name: 'encode' });
  assert.is(knownHost({ host: 'ENCODE', port: 7370 }), 'encode');
  assert.is(knownHost({ host: '::1', port: 1 }), '[::1]:1');
  assert.equal(parseKnownPeers(formatKnownLine('encode', kig, 'studio')).lines, [{ line: 1, hosts: ['encode'], pin: kig, name: 'studio' }]);
});

test('known_peers: what knows nobody', () => {
  for (const [line, reason] of [
    ['encode', 'it is not HOST PIN [NAME]'],
    [`encode ${kig.slice(0, -4)}`, `${kig.slice(0, -4)} is not a pin`],
    [`${kig} encode`, /is not a pin|not a name|not HOST/],
    [`encode ${kig} a b`, 'nothing stands behind the name, but b'],
    [`encode ${kig} a/b`, 'a/b is not a name'],
    [`fe80::1 ${kig}`, 'port :1 is not 1 to 65535'],
    [`encode:0 ${kig}`, 'port 0 is not 1 to 65535'],
    [`encode, ${kig}`, 'names no host'],
    [`en\u200bcode ${kig}`, 'en?code has an invisible character'],
    [`*.local ${kig} "`, 'its quotes are not right'],
  ] as const) {
    const { lines, faults } = parseKnownPeers(line);
    assert.equal(lines, [], line);
    assert.is(faults.length, 1);
    if (typeof reason === 'string') assert.is(faults[0]!.reason, reason);
    else assert.match(faults[0]!.reason, reason);
  }
});

test('what is written is read again', () => {
  for (const field of ['plain', 'a b', 'a"b', 'a\\b', '"', '\\', '', 'service=a "b" \\c']) {
    assert.equal(fieldsOf({ content: quoteField(field) }), [field], field);
  }
  const options = ['service=a b', 'service=lame.*', 'from=10.0.0.0/8', 'until=2027-01-31', 'max=3', 'user=kig'];
  const { lines, faults } = parseAuthorizedPeers(formatGrant(kig, 'laptop', options));
  assert.equal(faults, []);
  const { line, pin, name, ...rest } = lines[0] as Grant;
  assert.equal([line, pin, name], [1, kig, 'laptop']);
  assert.equal(rest, parseGrantOptions(options));
});

test('names of peers', () => {
  for (const name of ['a', 'laptop', 'kig@lap-top_1.local+x', '...', 'n'.repeat(64)]) assert.ok(isPeerName(name), name);
  for (const name of ['', '.', '..', 'a/b', 'a b', 'ü', 'a\n', 'n'.repeat(65)]) assert.not.ok(isPeerName(name), name);
});

test('random lines never throw anything but LineError', () => {
  const parts = [kig, 'a', '"', '\\', ' ', '=', 'service=', 'from=', 'until=', '@revoked', '#', '\n', '\u200b', '/', ':', '9', '.'];
  for (let round = 0; round < 5000; round++) {
    const text = Array.from({ length: 12 }, () => parts[Math.floor(Math.random() * parts.length)]).join('');
    for (const parse of [parseAuthorizedPeers, parseKnownPeers]) {
      try {
        parse(text);
      } catch (error) {
        assert.instance(error, LineError, text);
      }
    }
  }
});

test.run();
