// What the checks share: the packages there are, and how findings are told.
import { existsSync, readdirSync, readFileSync } from 'node:fs';

/**
 * @typedef {object} Package
 * @property {string} name the folder below packages/
 * @property {string} dir
 * @property {boolean} isCommand
 * @property {Record<string, any>} manifest
 */

/** Every package that has source. @returns {Package[]} */
export function listPackages() {
  return readdirSync('packages')
    .filter((name) => existsSync(`packages/${name}/package.json`) && sourcesOf(`packages/${name}/src`).length > 0)
    .map((name) => ({
      name,
      dir: `packages/${name}`,
      isCommand: existsSync(`packages/${name}/src/cli.ts`),
      manifest: JSON.parse(readFileSync(`packages/${name}/package.json`, 'utf8')),
    }));
}

/** The source files below a folder. @param {string} dir @returns {string[]} */
export function sourcesOf(dir) {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|mjs)$/.test(file))
    .map((file) => `${dir}/${file}`);
}

/** Collects findings, one line each. `end` prints them and sets the exit status. */
export function collectFindings() {
  /** @type {string[]} */
  const lines = [];
  return {
    /** @param {string} where @param {string} what */
    add: (where, what) => void lines.push(`${where}: ${what}`),
    end: () => {
      for (const line of lines) console.log(line);
      if (lines.length > 0) process.exitCode = 1;
    },
  };
}

/** What only one of two lists has. @param {Iterable<string>} left @param {Iterable<string>} right */
export function differences(left, right) {
  const lefts = new Set(left);
  const rights = new Set(right);
  return { onlyLeft: [...lefts].filter((item) => !rights.has(item)), onlyRight: [...rights].filter((item) => !lefts.has(item)) };
}
