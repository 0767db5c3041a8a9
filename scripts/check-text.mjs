// What a formatter leaves alone: no comment is wider than the code, and none cites a file that is not in the repository.
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { collectFindings, listPackages, sourcesOf } from './checking.mjs';

const maxColumns = 140;
const findings = collectFindings();
const pages = ['README.md', 'CHANGELOG.md', 'HACKING.md'];

for (const dir of [...listPackages().map((one) => `${one.dir}/src`), 'tests', 'scripts'])
  for (const file of sourcesOf(dir)) checkComments(file);
findings.end();

function checkComments(file) {
  for (const [at, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    if (!/^\s*(?:\/\/|\/?\*)/.test(line)) continue;
    const where = `${file}:${at + 1}`;
    if (line.length > maxColumns) findings.add(where, `a comment of ${line.length} columns, more than ${maxColumns}`);
    for (const [cited] of line.matchAll(/[\w./-]+\.md\b/g)) {
      if (!existsSync(cited) && !pages.includes(basename(cited))) findings.add(where, `cites ${cited}, which is not in the repository`);
    }
  }
}
