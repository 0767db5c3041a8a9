// Makes the folders that npm packs: node scripts/pack-folders.mjs DIR NAME... A command is its bundle with its pages; a library is what
// the compiler has made, with its types, and with the packages of others that it needs, as they are installed here: the registry does not
// have their patches.
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { listPackages } from './checking.mjs';

const [, , work, ...names] = process.argv;
const catalog = readFileSync('pnpm-workspace.yaml', 'utf8');
const packages = listPackages();
for (const one of packages.filter(({ name }) => names.includes(name))) makeFolder(one, join(work, one.name));

function makeFolder(one, folder) {
  mkdirSync(join(folder, 'dist'), { recursive: true });
  for (const file of [`${one.dir}/README.md`, 'LICENSE']) cpSync(file, join(folder, file.split('/').at(-1)));
  const manifest = one.isCommand ? packCommand(one, folder) : packLibrary(one, folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest, undefined, 2));
}

function packCommand({ name, dir, manifest }, folder) {
  for (const file of [`${name}.cjs`, `${name}-main.cjs`]) cpSync(`${dir}/dist/${file}`, join(folder, 'dist', file));
  cpSync(`man/man1/${name}.1`, join(folder, 'man', `${name}.1`));
  for (const section of ['man5', 'man7']) cpSync(`man/${section}`, join(folder, 'man'), { recursive: true });
  const { devDependencies: _bundled, ...rest } = manifest;
  // dipus(7) and sep(5) come with every command, so no one of them may own them as a link of npm's.
  return { ...withVersions(rest), files: [...manifest.files, 'man'], man: [`./man/${name}.1`] };
}

function packLibrary({ dir, manifest }, folder) {
  cpSync(`${dir}/dist`, join(folder, 'dist'), { recursive: true, filter: (path) => !path.endsWith('.tsbuildinfo') });
  copyDependencies(realpathSync(dir), folder, { root: folder, placed: new Map() });
  const bundled = Object.keys(manifest.dependencies ?? {}).filter(isForeign);
  return { ...withVersions(manifest), ...(bundled.length > 0 && { bundleDependencies: bundled }) };
}

/**
 * Copies what the package at `from` needs of others, and what that needs, to where it is found from `to`: below the root, or, where another
 * version stands there, below `to` itself. `placed` has what stands where.
 */
function copyDependencies(from, to, { root, placed }) {
  const { dependencies = {} } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies).filter(isForeign)) {
    const place = placeOf(name, from);
    const nearest = nearestOf(name, to, { root, placed });
    if (placed.get(nearest) === place) continue;
    const target = join(nearest === undefined ? root : to, 'node_modules', name);
    placed.set(target, place);
    cpSync(place, target, { recursive: true, filter: (path) => !path.endsWith('/node_modules') });
    copyDependencies(place, target, { root, placed });
  }
}

/** Where a package would be found from there; undefined: nowhere. */
function nearestOf(name, from, { root, placed }) {
  for (let dir = from; ; dir = dirname(dir)) {
    const target = join(dir, 'node_modules', name);
    if (placed.has(target)) return target;
    if (dir === root) return undefined;
  }
}

function isForeign(name) {
  return !name.startsWith('@dipus/');
}

/** Where Node finds a package from there. */
function placeOf(name, from) {
  for (let dir = from; ; dir = dirname(dir)) {
    const place = join(dir, 'node_modules', name);
    if (existsSync(place)) return realpathSync(place);
    if (dir === dirname(dir)) throw new Error(`${name} is not installed for ${from}`);
  }
}

/** A manifest with versions in the place of `workspace:*` and `catalog:`. */
function withVersions(manifest) {
  const versionOf = (name, range) => {
    if (range === 'workspace:*') return packages.find((one) => one.manifest.name === name).manifest.version;
    return range === 'catalog:' ? new RegExp(`^  '?${name}'?: (\\S+)$`, 'm').exec(catalog)[1] : range;
  };
  const named = ['dependencies', 'optionalDependencies'].filter((field) => manifest[field]);
  const versions = named.map((field) => [
    field,
    Object.fromEntries(Object.entries(manifest[field]).map(([name, range]) => [name, versionOf(name, range)])),
  ]);
  return { ...manifest, ...Object.fromEntries(versions) };
}
