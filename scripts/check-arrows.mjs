// Imports run one way: command -> cli, remote, session, tree, relay, sep, seps, ssh, mdns, registry, objects, shell -> proto; and each
// package declares what it imports. relay and ssh stand on programs, session on objects and relay, registry on tree, ipc on what a daemon
// needs, and remote is made of the middle layer; daemon is an edge like cli.
import { readFileSync } from 'node:fs';
import { dirname, normalize } from 'node:path';
import { collectFindings, differences, listPackages, sourcesOf } from './checking.mjs';

const carrying = ['descriptors', 'ipc', 'programs', 'relay', 'sep', 'seps', 'session', 'ssh'];
const middle = [...carrying, 'mdns', 'objects', 'registry', 'remote', 'shell', 'tree'];
const standsOn = {
  relay: ['programs'],
  ssh: ['programs'],
  session: ['objects', 'programs', 'relay'],
  registry: ['tree'],
  ipc: ['descriptors', 'relay', 'session', 'tree'],
  remote: middle,
};
// node:stream for the type of a connection alone.
const pureModules = ['node:buffer', 'node:util', 'node:stream'];
// Above it, for commands: what protocol daemons share of their edge.
const edge = { daemon: ['cli', 'ipc', 'tree'] };
// Who alone may import a package from outside.
const owners = {
  yargs: 'cli',
  'node-pty': 'dserve',
  'ssh2-streams': 'ssh',
  'mdns-js': 'mdns',
  koffi: 'descriptors',
  ws: 'dws',
  cborg: 'dws',
  unbash: 'shell',
};

const packages = listPackages();
const commands = packages.filter((one) => one.isCommand).map((one) => one.name);
const findings = collectFindings();

for (const one of packages) {
  const imported = new Set();
  for (const file of sourcesOf(`${one.dir}/src`)) {
    for (const target of importsOf(file)) {
      const wrong = faultOf(one, file, target);
      if (wrong) findings.add(file, `imports ${target}: ${wrong}`);
      if (!target.startsWith('.') && !target.startsWith('node:')) imported.add(packageOf(target));
    }
    if (one.name === 'proto' && /\bprocess\./.test(withoutComments(file))) findings.add(file, 'uses process: proto is pure');
  }
  checkDeclared(one, imported);
}
checkRoot();
findings.end();

/** Why a package may not import something; undefined where it may. */
function faultOf(one, file, target) {
  if (target.startsWith('.')) {
    const path = normalize(`${dirname(file)}/${target}`);
    return path.startsWith(`${one.dir}/src/`) ? undefined : 'leaves its package';
  }
  if (target.startsWith('node:')) {
    return one.name === 'proto' && !pureModules.includes(target) ? 'proto is pure' : undefined;
  }
  const owner = owners[packageOf(target)];
  if (owner !== undefined && owner !== one.name) return `only packages/${owner} knows it`;
  const library = /^@dipus\/([^/]+)/.exec(target)?.[1];
  if (library === undefined) return undefined;
  if (target === `@dipus/${library}`) return 'names no file of the library';
  if (commands.includes(library)) return 'a command is run, not imported';
  if (library === one.name) return 'a package imports itself by relative paths';
  return arrowFault(one, file, { library, target });
}

function arrowFault(one, file, { library, target }) {
  if (one.name === 'proto') return 'proto stands on nothing';
  if (one.isCommand) {
    if (target === '@dipus/cli/options' && !file.endsWith('/src/args.ts')) return 'args.ts alone reads the command line';
    return one.name === 'socketpipe' && !['cli', 'programs', 'proto'].includes(library) ? 'socketpipe knows no tree' : undefined;
  }
  if (edge[one.name]?.includes(library)) return undefined;
  if (library === 'cli' || library in edge) return `no library stands on ${library}`;
  if (!middle.includes(library) || standsOn[one.name]?.includes(library)) return undefined;
  return 'a library of the middle layer stands on proto alone';
}

/** What is declared must be what is imported: libraries have dependencies; commands are bundles, so theirs are devDependencies. */
function checkDeclared(one, imported) {
  const { dependencies = {}, devDependencies = {}, optionalDependencies = {} } = one.manifest;
  const declared = { ...dependencies, ...devDependencies, ...optionalDependencies };
  const where = `${one.dir}/package.json`;
  // What a library loads if it is there must be installed beside the command that it is bundled into.
  const optional = one.isCommand ? optionalOf(imported) : [];
  for (const name of optional) if (!(name in optionalDependencies)) findings.add(where, `has no ${name} among its optional dependencies`);
  const { onlyLeft, onlyRight } = differences([...imported, ...optional], Object.keys(declared));
  for (const name of onlyLeft) findings.add(where, `does not declare ${name}, which is imported`);
  for (const name of onlyRight) findings.add(where, `declares ${name}, which is not imported`);
  if (one.isCommand && Object.keys(dependencies).length > 0) findings.add(where, 'has dependencies, but a command is one file');
  for (const [name, version] of Object.entries(declared)) {
    const want = name.startsWith('@dipus/') ? 'workspace:*' : 'catalog:';
    if (version !== want) findings.add(where, `${name} is "${version}", not "${want}"`);
  }
  checkReferences(one, imported);
}

/** The optional dependencies of the libraries that these stand on, all the way down. */
function optionalOf(names, seen = new Set()) {
  const found = [];
  for (const name of names) {
    const one = packages.find((each) => each.manifest.name === name);
    if (!one || seen.has(name)) continue;
    seen.add(name);
    found.push(...Object.keys(one.manifest.optionalDependencies ?? {}), ...optionalOf(Object.keys(one.manifest.dependencies ?? {}), seen));
  }
  return found;
}

function checkReferences(one, imported) {
  const { references = [] } = JSON.parse(readFileSync(`${one.dir}/tsconfig.json`, 'utf8'));
  const wanted = [...imported].filter((name) => name.startsWith('@dipus/')).map((name) => name.replace('@dipus/', '../'));
  const { onlyLeft, onlyRight } = differences(
    references.map((reference) => reference.path),
    wanted,
  );
  for (const path of onlyLeft) findings.add(`${one.dir}/tsconfig.json`, `refers to ${path}, which is not imported`);
  for (const path of onlyRight) findings.add(`${one.dir}/tsconfig.json`, `does not refer to ${path}, which is imported`);
}

/** Tests and scripts stand on the root package, which also puts every command into node_modules/.bin. */
function checkRoot() {
  const { devDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
  for (const file of [...sourcesOf('tests'), ...sourcesOf('scripts')]) {
    for (const target of importsOf(file)) {
      if (target.startsWith('.') || target.startsWith('node:')) continue;
      if (!(packageOf(target) in devDependencies))
        findings.add('package.json', `does not declare ${packageOf(target)}, which ${file} imports`);
    }
  }
  for (const name of commands) {
    if (!(`@dipus/${name}` in devDependencies))
      findings.add('package.json', `does not declare @dipus/${name}: no node_modules/.bin/${name}`);
  }
}

/** What a file imports, types included: the text between the quotes. */
function importsOf(file) {
  const text = withoutComments(file);
  const statements = text.matchAll(/^\s*(?:import|export)\s(?:[^'";]*?\sfrom\s)?\s*'([^']+)'/gm);
  const calls = text.matchAll(/\b(?:import|require|require\.resolve)\(\s*'([^']+)'/g);
  return [...statements, ...calls].map((match) => match[1]);
}

function withoutComments(file) {
  return readFileSync(file, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '');
}

function packageOf(target) {
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/');
}
