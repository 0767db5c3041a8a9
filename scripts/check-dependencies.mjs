// The table of dependencies in README.md names exactly the packages of the workspace's catalog, and somebody uses each.
import { readdirSync, readFileSync } from 'node:fs';
import { collectFindings, differences } from './checking.mjs';

const findings = collectFindings();
const catalog = catalogNames(readFileSync('pnpm-workspace.yaml', 'utf8'));
const table = tableNames(readFileSync('README.md', 'utf8'));
const used = usedNames();

const { onlyLeft, onlyRight } = differences(catalog, table);
for (const name of onlyLeft) findings.add('README.md', `the table of dependencies does not name ${name}`);
for (const name of onlyRight) findings.add('README.md', `the table of dependencies names ${name}, which is not in the catalog`);
for (const name of differences(catalog, used).onlyLeft)
  findings.add('pnpm-workspace.yaml', `${name} is in the catalog, but no package uses it`);
findings.end();

function catalogNames(yaml) {
  const block = /^catalog:\n((?:[ \t]+.*\n|[ \t]*#.*\n)+)/m.exec(yaml)?.[1] ?? '';
  return [...block.matchAll(/^\s+'?([^\s':#]+)'?:/gm)].map((match) => match[1]);
}

function tableNames(markdown) {
  const section = /^## Dependencies\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(markdown)?.[1] ?? '';
  return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1]);
}

function usedNames() {
  const manifests = ['package.json', ...readdirSync('packages').map((name) => `packages/${name}/package.json`)];
  return manifests.flatMap((file) => {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(readFileSync(file, 'utf8'));
    return Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
  });
}
