// What yargs needs of Node, in the bundles. Its own platform asks for the working directory as soon as it is loaded (which may be gone), for
// the width of stdout (which makes a pipe non-blocking for everybody who shares it), and for assert, streams and the ESM loader: a
// tenth of the start of a small command.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { inspect } from 'node:util';
import cliui from 'cliui';
import stringWidth from 'string-width';
import y18n from 'y18n';
import Parser from 'yargs-parser';
import { getProcessArgvBin } from '../../build/lib/utils/process-argv.js';

const check = (isRight, message) => {
  if (!isRight) throw new Error(message);
};

// oxlint-disable-next-line import/no-default-export -- it is imported as the original is
export default {
  assert: {
    strictEqual: (found, wanted, message) => check(found === wanted, message),
    notStrictEqual: (found, other, message) => check(found !== other, message),
  },
  cliui,
  // A bundle has no package.json of its own, and no translations.
  findUp: () => undefined,
  mainFilename: '/',
  y18n: y18n({ directory: '/nonexistent', updateFiles: false }),
  getEnv: (name) => process.env[name],
  inspect,
  getProcessArgvBin,
  Parser,
  path: { basename, dirname, extname, join, relative, resolve },
  process: {
    argv: () => process.argv,
    cwd: () => process.cwd(),
    emitWarning: (warning, type) => process.emitWarning(warning, type),
    execPath: () => process.execPath,
    exit: (code) => void (process.exitCode = code),
    nextTick: process.nextTick,
    stdColumns: null,
  },
  readFileSync,
  readdirSync,
  getCallerFile: () => '/',
  stringWidth,
};
