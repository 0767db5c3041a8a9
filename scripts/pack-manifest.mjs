// Prints the package.json with which a command ships: node pack-manifest.mjs packages/dcat/package.json
import { readFileSync } from 'node:fs';

const manifest = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const name = manifest.name.replace('@dipus/', '');
const { devDependencies: _bundled, optionalDependencies, ...rest } = manifest;
const shipped = {
  ...rest,
  files: [...manifest.files, 'man'],
  // dipus(7) and sep(5) come with every command, so no one of them may own them as a link of npm's.
  man: [`./man/${name}.1`],
  ...(optionalDependencies && { optionalDependencies: withVersions(optionalDependencies) }),
};
console.log(JSON.stringify(shipped, undefined, 2));

function withVersions(dependencies) {
  const yaml = readFileSync('pnpm-workspace.yaml', 'utf8');
  const versionOf = (dependency) => new RegExp(`^  '?${dependency}'?: (\\S+)$`, 'm').exec(yaml)?.[1];
  return Object.fromEntries(Object.keys(dependencies).map((dependency) => [dependency, versionOf(dependency)]));
}
