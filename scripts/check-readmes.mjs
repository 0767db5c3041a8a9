// The table in each library README names the modules that others import, and no other; the examples compile; README.md and HACKING.md
// name every package. With a folder as argument it only writes the examples there, NAME-0.ts and so on.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { collectFindings, differences, listPackages, sourcesOf } from './checking.mjs';

const findings = collectFindings();
const packages = listPackages();
const given = process.argv[2];
if (given !== undefined) writeExamples(given);
else {
  checkTables();
  checkMaps();
  checkExamples('build/readmes');
}
findings.end();

function checkTables() {
  const imported = new Map(packages.map((one) => [one.name, importedBy(one)]));
  for (const one of packages.filter(({ isCommand }) => !isCommand)) {
    const file = `${one.dir}/README.md`;
    const used = new Set([...imported].filter(([name]) => name !== one.name).flatMap(([, targets]) => targets));
    const own = [...used].filter((target) => target.startsWith(`@dipus/${one.name}/`));
    const { modules, folders } = tableOf(one, file);
    const named = own.filter((target) => !folders.some((prefix) => target.startsWith(prefix)));
    const { onlyLeft, onlyRight } = differences(named, modules);
    for (const target of onlyLeft) findings.add(file, `the table does not name ${target}, which is imported`);
    for (const target of onlyRight) findings.add(file, `the table names ${target}, which no other package imports`);
  }
}

function checkMaps() {
  const [readme, hacking] = ['README.md', 'HACKING.md'].map((file) => readFileSync(file, 'utf8'));
  for (const { name } of packages) {
    if (!readme.includes(`(packages/${name})`)) findings.add('README.md', `does not name packages/${name}`);
    if (!hacking.includes(`\`${name}\``)) findings.add('HACKING.md', `does not name ${name}`);
  }
}

function importedBy(one) {
  return sourcesOf(`${one.dir}/src`).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?'(@dipus\/[^']+)'/g)].map((match) => match[1]),
  );
}

/** What the first column names: modules, the second and later ones of a cell without their package, or whole folders. */
function tableOf(one, file) {
  const cells = [...readFileSync(file, 'utf8').matchAll(/^\| (`[^|]*) \|/gm)].map((match) => match[1]);
  const names = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1]));
  const full = names.map((name) => (name.startsWith('@') ? name : `@dipus/${one.name}/${name}`));
  return { modules: full.filter((name) => !name.endsWith('/')), folders: full.filter((name) => name.endsWith('/')) };
}

/** Returns the names of the files. */
function writeExamples(folder) {
  const files = [];
  for (const { name, dir } of packages) {
    if (!existsSync(`${dir}/README.md`)) continue;
    const examples = [...readFileSync(`${dir}/README.md`, 'utf8').matchAll(/^```ts\n([\s\S]*?)^```$/gm)];
    for (const [at, [, text]] of examples.entries()) {
      files.push(`${name}-${at}.ts`);
      writeFileSync(`${folder}/${files.at(-1)}`, `${text}\nexport {};\n`);
    }
  }
  return files;
}

/** Types are checked as in the package itself. */
function checkExamples(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const files = writeExamples(folder);
  const compilerOptions = { noEmit: true, composite: false, incremental: false, isolatedDeclarations: false, noUnusedLocals: false };
  writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ extends: '../../tsconfig.base.json', compilerOptions, files }));
  const { stdout } = spawnSync('node_modules/.bin/tsc', ['-p', folder, '--pretty', 'false'], { encoding: 'utf8' });
  for (const line of (stdout ?? '').split('\n').filter((text) => /error TS/.test(text))) {
    const [, name, what] = /([^/]+)-\d+\.ts\(.*?: error (.*)$/.exec(line) ?? [undefined, 'tsconfig', line];
    findings.add(`packages/${name}/README.md`, `the example does not compile: ${what}`);
  }
}
