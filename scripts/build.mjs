// Bundles each command into one self-contained file, packages/<command>/dist/<command>.js, and each test and driver into build/tests/.
// Types are not checked here: `tsc -b` has done that, and made the libraries' dist/ that is bundled.
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { build } from 'esbuild';

const packageOf = (name) => JSON.parse(readFileSync(`packages/${name}/package.json`, 'utf8'));
const commands = readdirSync('packages').filter((name) => existsSync(`packages/${name}/src/cli.ts`));

const shared = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  mainFields: ['module', 'main'],
  external: ['node-pty'],
  alias: { 'string-width': './scripts/ascii-width.mjs' },
  logLevel: 'warning',
};

await Promise.all(
  commands.map(async (name) => {
    const outfile = `packages/${name}/dist/${name}.js`;
    await build({
      ...shared,
      entryPoints: [`packages/${name}/src/cli.ts`],
      outfile,
      minifySyntax: true,
      minifyWhitespace: true,
      minifyIdentifiers: true,
      legalComments: 'eof',
      define: { DIPUS_VERSION: JSON.stringify(packageOf(name).version) },
      // CommonJS parts of the bundle ask for Node's own modules by require.
      banner: {
        js: `#!/usr/bin/env node\nimport { createRequire as dipusRequire } from 'node:module';\nconst require = dipusRequire(import.meta.url);`,
      },
    });
    chmodSync(outfile, 0o755);
  }),
);

await build({
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
