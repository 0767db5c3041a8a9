// Lines of known_hosts: which hosts they name.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { parseKnownLine } from '@dipus/ssh/login/known-hosts';
import { has, suite, withSandbox } from './harness.ts';

const test = suite('known_hosts');
const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0';
const names = (line: string, name: string): boolean => parseKnownLine(line, name) !== undefined;

test('names, patterns and denials', () => {
  const table: [names: string, host: string, isNamed: boolean][] = [
    ['stereo', 'stereo', true],
    ['stereo', 'stereo2', false],
    ['Stereo', 'stereo', true],
    ['box,stereo,10.0.0.1', '10.0.0.1', true],
    ['*.example.org', 'a.example.org', true],
    ['*.example.org', 'example.org', false],
    ['*.example.org', 'a.example.orgs', false],
    ['a.b', 'axb', false],
    ['box?', 'box1', true],
    ['box?', 'box', false],
    ['*', 'anything', true],
    ['*.example.org,!bad.example.org', 'bad.example.org', false],
    ['!bad.example.org,*.example.org', 'bad.example.org', false],
    ['*.example.org,!bad.example.org', 'good.example.org', true],
    ['!bad.example.org', 'good.example.org', false],
    ['[stereo]:2222', '[stereo]:2222', true],
    ['[stereo]:2222', 'stereo', false],
    ['stereo', '[stereo]:2222', false],
    ['[*]:2222', '[stereo]:2222', true],
    ['fe80::1', 'fe80::1', true],
    ['(a|a)*$', 'aaaa', false],
  ];
  for (const [pattern, host, isNamed] of table) assert.is(names(`${pattern} ${key}`, host), isNamed, `${pattern} ${host}`);
});

test('a pattern of many stars takes no time', () => {
  assert.not.ok(names(`${'*a'.repeat(40)} ${key}`, 'a'.repeat(200).concat('b')));
});

test('markers', () => {
  const marker = (line: string): string | undefined => parseKnownLine(line, 'box')?.marker;
  assert.is(marker(`box ${key}`), 'key');
  assert.is(marker(`@revoked box ${key}`), 'revoked');
  assert.is(marker(`@revoked * ${key} lost`), 'revoked');
  assert.is(marker(`@cert-authority *,box ${key}`), 'authority');
  assert.is(marker(`@other box ${key}`), undefined);
});

test('what is no line of a key', () => {
  for (const line of [
    '',
    '#box ssh-ed25519 AAAA',
    '# box',
    'box',
    'box ssh-ed25519',
    '@revoked',
    '@revoked box',
    '|1|| a b',
    '|2|x|y a b',
    '|',
  ])
    assert.not.ok(names(line, 'box'), line);
});

if (has('ssh-keygen')) {
  test('names that ssh-keygen has hashed', () =>
    withSandbox(async ({ dir }) => {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', `${dir}/id`]);
      const publicKey = readFileSync(`${dir}/id.pub`, 'utf8').split(' ').slice(0, 2).join(' ');
      writeFileSync(`${dir}/known`, `box,[box]:2222 ${publicKey}\n`);
      execFileSync('ssh-keygen', ['-H', '-f', `${dir}/known`], { stdio: 'ignore' });
      const lines = readFileSync(`${dir}/known`, 'utf8').trim().split('\n');
      assert.match(lines[0]!, /^\|1\|/);
      const isNamed = (name: string): boolean => lines.some((line) => names(line, name));
      assert.equal(['box', '[box]:2222', 'Box2', 'stereo'].map(isNamed), [true, true, false, false]);
    }));
} else test.skip('names that ssh-keygen has hashed', 'there is no ssh-keygen');

test.run();
