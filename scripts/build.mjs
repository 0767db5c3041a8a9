// Bundles each command into one self-contained file, packages/<command>/dist/<command>-main.cjs, and puts beside it what starts it,
// <command>.cjs; and bundles each test and driver into build/tests/.
// Types are not checked here: `tsc -b` has done that, and made the libraries' dist/ that is bundled.
// <command>-main.cjs begins with a digest of itself, by which its starter knows what Node has made of just this one.
// A file that is as it should be is left alone, and another takes its place in one step: it may be running at this moment.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { build } from 'esbuild';

const packageOf = (name) => JSON.parse(readFileSync(`packages/${name}/package.json`, 'utf8'));
const commands = readdirSync('packages').filter((name) => existsSync(`packages/${name}/src/cli.ts`));

// Node loads a module of its own in up to 15 ms, and a run needs few of them: each is loaded where something of it is used first.
const late = 'assert|child_process|crypto|dgram|dns|dns/promises|http|https|module|net|stream|stream/promises|timers/promises|tls|tty|zlib';
const ours = new RegExp(`^(?:node:)?(?:${late})$`);
const loadLate = {
  name: "load Node's modules late",
  setup(made) {
    made.onResolve({ filter: ours }, ({ path, kind }) =>
      kind === 'import-statement' ? { path, namespace: 'late' } : { path, external: true },
    );
    made.onLoad({ filter: /.*/, namespace: 'late' }, ({ path }) => ({
      contents: `let loaded
        for (const name of ${JSON.stringify(Object.keys(createRequire(import.meta.url)(path)))})
          Object.defineProperty(exports, name, { get: () => (loaded ??= require(${JSON.stringify(path)}))[name], enumerable: true })`,
    }));
  },
};

const replaceYargsPlatform = {
  name: "replace yargs' platform",
  setup(made) {
    made.onLoad({ filter: /\/yargs\/lib\/platform-shims\/esm\.mjs$/ }, () => ({
      contents: readFileSync('scripts/yargs-platform.in', 'utf8'),
    }));
    // Only for files of settings that are JavaScript.
    made.onLoad({ filter: /\/yargs-parser\/build\/lib\/index\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace(/createRequire \?.*;/, 'undefined;'),
    }));
  },
};

// The engine reads a whole bundle before its first line runs; a string it only passes over. So what only ssh:// needs is text until then.
const packed = ['ssh.js', 'keyParser.js'];
const packSsh = {
  name: 'pack ssh2-streams as text',
  setup(made) {
    made.onResolve({ filter: /^ssh2-streams\/lib\// }, ({ path }) => ({
      path: path.slice('ssh2-streams/lib/'.length),
      namespace: 'packed',
    }));
    made.onResolve({ filter: /^packed text$/ }, ({ path }) => ({ path, namespace: 'packed text' }));
    made.onLoad({ filter: /.*/, namespace: 'packed' }, ({ path }) => ({ contents: `module.exports = require("packed text")['${path}']` }));
    made.onLoad({ filter: /.*/, namespace: 'packed text' }, async () => ({
      contents: `const text = ${JSON.stringify(await sshText)}
        const made = { exports: {} }
        new Function('module', 'exports', 'require', text)(made, made.exports, require)
        module.exports = made.exports`,
    }));
  },
};

/** ssh2-streams with all it needs, as the body of a CommonJS module. */
async function bundleSsh() {
  const contents = packed.map((file) => `exports['${file}'] = require("ssh2-streams/lib/${file}")`).join('\n');
  const stdin = { contents, resolveDir: 'packages/ssh' };
  const { outputFiles } = await build({ ...shared, ...small, stdin, format: 'cjs', legalComments: 'eof' });
  return outputFiles[0].text;
}

const shared = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  mainFields: ['module', 'main'],
  external: ['node-pty', 'koffi'],
  alias: { 'string-width': './scripts/ascii-width.mjs' },
  logLevel: 'warning',
  write: false,
};

/** What is on PATH: it looks at what Node would hide, and at Node itself, before the bundle is read. */
function starterOf(name) {
  const status = ['dcat', 'dpipes', 'socketpipe'].includes(name) ? 125 : 1;
  return readFileSync('packages/cli/starter.in', 'utf8').replaceAll('NAME', name).replaceAll('STATUS', status);
}

/** Gives a file these bytes, unless it has them. */
function put(path, bytes, mode) {
  if (existsSync(path) && readFileSync(path).equals(bytes)) return;
  mkdirSync(dirname(path), { recursive: true });
  const made = `${path}.${process.pid}`;
  writeFileSync(made, bytes, { mode });
  renameSync(made, path);
}

const small = { minifySyntax: true, minifyWhitespace: true, minifyIdentifiers: true };
const sshText = bundleSsh();

await Promise.all(
  commands.map(async (name) => {
    put(`packages/${name}/dist/${name}.cjs`, Buffer.from(starterOf(name)), 0o755);
    const { outputFiles } = await build({
      ...shared,
      entryPoints: [`packages/${name}/src/cli.ts`],
      plugins: [loadLate, packSsh, replaceYargsPlatform],
      format: 'cjs',
      supported: { 'dynamic-import': false },
      outdir: '.',
      ...small,
      legalComments: 'eof',
      define: { DIPUS_VERSION: JSON.stringify(packageOf(name).version), 'import.meta.url': 'dipusUrl' },
      banner: { js: "'use strict'; const dipusUrl = require('node:url').pathToFileURL(__filename).href;" },
    });
    const { text } = outputFiles[0];
    put(`packages/${name}/dist/${name}-main.cjs`, Buffer.from(`// ${createHash('sha256').update(text).digest('hex')}\n${text}`));
  }),
);

const tests = await build({
  ...shared,
  entryPoints: readdirSync('tests')
    .filter((file) => /(?:\.test|-driver)\.ts$/.test(file))
    .map((file) => `tests/${file}`),
  outdir: 'build/tests',
  sourcemap: 'inline',
  splitting: false,
  banner: {
    js: `import { createRequire as dipusRequire } from 'node:module';\nconst require = dipusRequire(import.meta.url);`,
  },
});
for (const { path, contents } of tests.outputFiles) put(path, Buffer.from(contents));
