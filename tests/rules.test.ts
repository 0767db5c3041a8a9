// Rules of ipcd by table, from words and from a file, and what they decide.
import * as assert from 'uvu/assert';
import { parsePeer } from '@dipus/proto/peer';
import { parseRule, parseRules, RuleError } from '@dipus/proto/rule-words';
import { decide, namesToResolve, networkTarget, route, type Question, type Rule } from '@dipus/proto/rules';
import { rounds, suite } from './harness.ts';
import { examplesOf } from './pages.ts';

const test = suite('rules');

const accounts = {
  userId: (name: string): number | undefined => ({ kig: 1000, ann: 1001 })[name] ?? (/^\d+$/.test(name) ? Number(name) : undefined),
  groupId: (name: string): number | undefined => ({ staff: 50 })[name],
};
const addresses: Record<string, string[]> = { 'box.example': ['192.0.2.7', '2001:db8::7'], localhost: ['127.0.0.1', '::1'] };
const surroundings = { ownUid: 1000, addressesOf: (name: string): string[] => addresses[name] ?? [] };

function rulesOf(...lines: string[]): Rule[] {
  return lines.map((line) => parseRule(line.split(' '), accounts));
}

/** `in SERVICE PEER` or `out SERVICE PEER by UID[:GID]`, as + or - and the rule. */
function decided(rules: readonly Rule[], question: string): string {
  const [direction, service, peer, , who = '1000'] = question.split(' ');
  const [uid, gid] = who.split(':');
  const asked: Question = {
    direction: direction as 'in',
    service: service!,
    peer: peer === undefined ? undefined : parsePeer(peer),
    ...(direction === 'out' && { asker: { uid: Number(uid), gids: gid === undefined ? [] : [Number(gid)] } }),
  };
  const { isAllowed, isExportedOnly, rule } = decide(rules, asked, surroundings);
  return `${isAllowed ? '+' : '-'}${isExportedOnly ? ' exported' : ''} ${rule}`;
}

test('the command line as it is printed: --allow in authd --deny in * * --allow out pong', () => {
  const rules = rulesOf('allow in authd', 'deny in * *', 'allow out pong');
  assert.is(decided(rules, 'in authd tls:alice@192.0.2.7:5'), '+ allow in authd');
  assert.is(decided(rules, 'in pong tls:alice@192.0.2.7:5'), '- deny in * *');
  assert.is(decided(rules, 'out pong unix:pong'), '+ allow out pong');
  assert.is(decided(rules, 'out authd unix:authd'), '- no rule matches, and some speak of out');
});

test('without rules', () => {
  assert.match(decided([], 'in pong tcp:192.0.2.7:5'), /^\+ exported no rule speaks of in/);
  assert.match(decided([], 'out pong unix:pong by 1000'), /^\+ no rule speaks of out: own user/);
  assert.match(decided([], 'out pong unix:pong by 0'), /^\+ /);
  assert.match(decided([], 'out pong unix:pong by 1001'), /^- no rule speaks of out: neither/);
  // Rules of the other direction, and of targets, close nothing.
  const others = rulesOf('allow out pong', 'redirect a b');
  assert.match(decided(others, 'in pong tcp:192.0.2.7:5'), /^\+ exported/);
  assert.match(decided(others, 'in a'), /^\+ exported/);
});

test('the first match wins, in the order written', () => {
  const rules = rulesOf('deny out pong tls:evil.example', 'allow out pong tls:*.example', 'deny out pong', 'allow out *');
  assert.is(decided(rules, 'out pong tls://evil.example:9000/pong'), '- deny out pong tls:evil.example');
  assert.is(decided(rules, 'out pong tls://good.example:9000/pong'), '+ allow out pong tls:*.example');
  assert.is(decided(rules, 'out pong unix:pong'), '- deny out pong');
  assert.is(decided(rules, 'out authd unix:authd'), '+ allow out *');
});

// Pattern, peer, whether it matches.
const peers: [pattern: string, peer: string, isMatch: boolean][] = [
  ['*', 'tcp:192.0.2.7:5', true],
  ['tcp', 'tcp:192.0.2.7:5', true],
  ['tls', 'tcp:192.0.2.7:5', false],
  ['*:192.0.2.7', 'ws:192.0.2.7:5', true],
  ['tcp:192.0.2.0/24', 'tcp:192.0.2.7:5', true],
  ['tcp:192.0.2.0/24', 'tcp:192.0.3.7:5', false],
  ['tcp:192.0.2.0/24', 'tcp:[::ffff:192.0.2.7]:5', true],
  ['tcp:192.0.2.7:5000', 'tcp:192.0.2.7:5000', true],
  ['tcp:192.0.2.7:5000', 'tcp:192.0.2.7:5001', false],
  ['tcp:192.0.2.7:*', 'tcp:192.0.2.7:5001', true],
  ['tcp:[2001:db8::/32]', 'tcp:[2001:db8::7]:5', true],
  ['tcp:[2001:db8::/32]:*', 'tcp:[2001:db9::7]:5', false],
  ['tcp:*:7', 'tcp:[::1]:7', true],
  ['tcp:*', 'tcp:[::1]:7', true],
  ['tcp:box.example', 'tcp:192.0.2.7:5', true],
  ['tcp:BOX.example', 'tcp:[2001:db8::7]:5', true],
  ['tcp:box.example', 'tcp:[::ffff:192.0.2.7]:5', true],
  ['tcp:box.example', 'tcp:192.0.2.8:5', false],
  ['tcp:unknown.example', 'tcp:192.0.2.8:5', false],
  ['*:localhost', 'tcp:127.0.0.1:5', true],
  ['tls:alice@*', 'tls:alice@192.0.2.7:5', true],
  ['tls:alice@192.0.2.7', 'tls:alice@192.0.2.7:5', true],
  ['tls:alice@192.0.2.8', 'tls:alice@192.0.2.7:5', false],
  ['tls:alice@*', 'tls:192.0.2.7:5', false],
  ['tls:al*@*', 'tls:alice@192.0.2.7:5', true],
  ['tls:alice', 'tls:alice@192.0.2.7:5', true],
  ['tls:alice', 'tls:bob@192.0.2.7:5', false],
  // A name of an authenticated scheme is never looked up.
  ['tls:box.example', 'tls:bob@192.0.2.7:5', false],
  ['seps:alice', 'seps:alice@[2001:db8::7]:5', true],
  ['seps:alice@home@*', 'seps:alice@home@[2001:db8::7]', true],
  ['seps:alice', 'seps:alice@home@192.0.2.7', false],
];

test('peers by table', () => {
  for (const [pattern, peer, isMatch] of peers) {
    const rules = rulesOf(`allow in pong ${pattern}`);
    assert.is(decided(rules, `in pong ${peer}`).startsWith('+'), isMatch, `${pattern} ${peer}`);
  }
  // Of a peer that is not known only rules for every peer speak.
  assert.is(decided(rulesOf('deny in pong tcp', 'allow in pong *'), 'in pong'), '+ allow in pong *');
});

test('where it leads', () => {
  const rules = rulesOf('allow out * unix:other*', 'allow out * unix:/run/*', 'allow out * tls:alice@auth.example:9000');
  assert.ok(decided(rules, 'out pong unix:otherpong').startsWith('+'));
  assert.not.ok(decided(rules, 'out pong unix:pong').startsWith('+'));
  assert.ok(decided(rules, 'out pong unix:/run/pong').startsWith('+'));
  assert.ok(decided(rules, 'out pong tls://alice@AUTH.example:9000/authd').startsWith('+'));
  assert.not.ok(decided(rules, 'out pong tls://bob@auth.example:9000/authd').startsWith('+'));
  // What leads to a name is not resolved: the address that is opened is another matter.
  assert.not.ok(decided(rulesOf('allow out * tcp:192.0.2.7'), 'out pong tcp://box.example:1/x').startsWith('+'));
});

test('by whom', () => {
  const rules = rulesOf('allow out pong by kig', 'allow out pong by 1234', 'allow out pong * by @staff');
  assert.is(decided(rules, 'out pong unix:pong by 1000'), '+ allow out pong by kig');
  assert.is(decided(rules, 'out pong unix:pong by 1234'), '+ allow out pong by 1234');
  assert.is(decided(rules, 'out pong unix:pong by 77:50'), '+ allow out pong * by @staff');
  assert.is(decided(rules, 'out pong unix:pong by 77:51'), '- no rule matches, and some speak of out');
});

test('words that are no rule', () => {
  const bad: [string, RegExp][] = [
    ['permit in x', /not allow, deny/],
    ['allow', /neither in nor out is given/],
    ['allow up x', /^up is neither in nor out$/],
    ['allow in', /no SERVICE is given/],
    ['allow in a/b', /no name/],
    ['deny in README.md package.json', /no name/],
    ['deny in x package.json', /no scheme/],
    ['deny in x * y', /y is left over/],
    ['allow in x by kig', /only with out/],
    ['allow out x by nobody-there', /there is no user/],
    ['allow out x by @nobody-there', /there is no group/],
    ['allow out x tcp:', /no HOST/],
    ['allow out x tcp:[1::2::3]', /no IPv6 address/],
    ['allow in x tcp:1.2.3.4/99', /no name, address or network/],
    ['redirect a', /SERVICE and TARGET are not both given/],
    ['redirect a ../x', /TARGET ..\/x has a part \.\./],
    ['redirect a unix:///network', /leads to network/],
    ['route a unix:///run/../x', /URI unix:.* has a part/],
    ['redirect a b c', /c is left over/],
    ['route a b', /no URI/],
  ];
  for (const [words, reason] of bad) {
    let thrown: unknown;
    try {
      rulesOf(words);
    } catch (error) {
      thrown = error;
    }
    assert.instance(thrown, RuleError, words);
    assert.match((thrown as RuleError).message, reason);
  }
});

test('a file: comments, blanks, and each line that is wrong', () => {
  const text = '# all of it\n\nallow in authd   # who may\n  deny in * *\nallow up x\nredirect authd nextversion-authd\nroute log\n';
  const { rules, faults } = parseRules(text, accounts);
  assert.equal(
    rules.map((rule) => rule.text),
    ['allow in authd', 'deny in * *', 'redirect authd nextversion-authd'],
  );
  assert.equal(
    faults.map(({ line }) => line),
    [5, 7],
  );
  assert.equal(parseRules('allow in a\r\n', accounts).rules.length, 1);
});

test('the example of the page', () => {
  const { commands } = examplesOf('man').find(({ page }) => page === 'ipcd.rules.5')!;
  const { rules, faults } = parseRules(commands.join('\n'), accounts);
  assert.equal([rules.length, faults], [6, []]);
});

test('routes: redirect, IPC_NETWORK, route, itself; one step', () => {
  const rules = rulesOf(
    'route authd tls://alice@auth.example:9000/authd',
    'redirect old* new',
    'redirect new newest',
    'redirect oldest never',
  );
  const way = (service: string, network = ''): string => route(rules, { service, network }).target;
  assert.is(way('pong'), 'pong');
  assert.is(way('authd'), 'tls://alice@auth.example:9000/authd');
  assert.is(way('authd', 'authd unix:///x'), 'unix:///x');
  assert.is(way('authd', 'other unix:///x'), 'tls://alice@auth.example:9000/authd');
  assert.is(way('oldest', 'oldest unix:///x'), 'new');
  assert.is(way('new'), 'newest');
  const network = ' a  unix:///1 ;b unix:///2; a unix:///3 ;a;; a b c';
  assert.is(networkTarget(network, 'a'), 'unix:///3');
  assert.is(networkTarget(network, 'b'), 'unix:///2');
  assert.is(networkTarget(network, 'c'), undefined);
});

test('which names are looked up', () => {
  const rules = rulesOf(
    'allow in a tcp:box.example',
    'deny in a *:x:5',
    'allow in a tls:alice',
    'allow in a tcp:*.example',
    'allow out a tcp:y',
  );
  assert.equal(namesToResolve([...rules, ...rulesOf('allow in b tcp:box.example', 'allow in b tcp:10.0.0.1')]), ['box.example', 'x']);
});

test('random words never throw anything but RuleError', () => {
  const words = [
    'allow',
    'deny',
    'in',
    'out',
    '*',
    'by',
    'kig',
    '@staff',
    'tcp:',
    'tcp:[',
    'a@b:c@d',
    '::',
    'x',
    '',
    '1.2.3.4/5',
    'redirect',
    'route',
    'tls:a@*:*',
  ];
  for (let round = 0; round < rounds(5000, 200_000); round++) {
    const some = Array.from({ length: Math.floor(Math.random() * 7) }, () => words[Math.floor(Math.random() * words.length)]!);
    try {
      decide([parseRule(some, accounts)], { direction: 'in', service: 'x', peer: parsePeer('tcp:1.2.3.4:5') }, surroundings);
    } catch (error) {
      assert.instance(error, RuleError, some.join(' '));
    }
  }
});

test.run();
