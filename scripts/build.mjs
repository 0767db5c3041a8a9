// Bundles each command into one self-contained file, packages/<command>/dist/<command>-main.mjs, and puts beside it what starts it,
// <command>.mjs; and bundles each test and driver into build/tests/.
// Types are not checked here: `tsc -b` has done that, and made the libraries' dist/ that is bundled.
// A file that is as it should be is left alone, and another takes its place in one step: it may be running at this moment.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { build } from 'esbuild';

const packageOf = (name) => JSON.parse(readFileSync(`packages/${name}/package.json`, 'utf8'));
const commands = readdirSync('packages').filter((name) => existsSync(`packages/${name}/src/cli.ts`));

// A static import of one file is made one of the whole bundle, and loaded at its start, by a part that may never run.
const dear = /^node:(?:http|tls|dgram|dns\/promises|zlib)$/;
const loadDearLate = {
  name: 'load dear modules of Node late',
  setup(made) {
    made.onResolve({ filter: dear }, ({ path, namespace }) =>
      namespace === 'late' ? { path, external: true } : { path, namespace: 'late' },
    );
    made.onLoad({ filter: dear, namespace: 'late' }, ({ path }) => ({ contents: `module.exports = require(${JSON.stringify(path)})` }));
  },
};

// yargs asks for the working directory as soon as it is loaded, for files of its own that a bundle has not. The directory may be gone.
const doWithoutFolder = {
  name: 'let yargs do without a working directory',
  setup(made) {
    made.onLoad({ filter: /\/yargs\/lib\/platform-shims\/esm\.mjs$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replace('process.cwd()', "'/'"),
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
  const status = ['dcat', 'socketpipe'].includes(name) ? 125 : 1;
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

/** Bundles as `options` say, and puts the files where they name. */
async function bundle(options) {
  const { outputFiles } = await build({ ...shared, ...options });
  for (const { path, contents } of outputFiles) put(path, Buffer.from(contents));
}

const small = { minifySyntax: true, minifyWhitespace: true, minifyIdentifiers: true };
const sshText = bundleSsh();

await Promise.all(
  commands.map(async (name) => {
    put(`packages/${name}/dist/${name}.mjs`, Buffer.from(starterOf(name)), 0o755);
    await bundle({
      entryPoints: [`packages/${name}/src/cli.ts`],
      plugins: [loadDearLate, packSsh, doWithoutFolder],
      outfile: `packages/${name}/dist/${name}-main.mjs`,
      ...small,
      legalComments: 'eof',
      // yargs looks at the width of stdout as soon as it is loaded, which makes a pipe non-blocking for everybody who shares it.
      define: { DIPUS_VERSION: JSON.stringify(packageOf(name).version), 'process.stdout.columns': 'undefined' },
      // CommonJS parts of the bundle ask for Node's own modules by require.
      banner: {
        js: `import { createRequire as dipusRequire } from 'node:module';\nconst require = dipusRequire(import.meta.url);`,
      },
    });
  }),
);

await bundle({
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
