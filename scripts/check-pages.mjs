// Holds usage, pages, READMEs and completions of the commands against each other.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { collectFindings, differences, listPackages } from './checking.mjs';

const sections = ['NAME', 'SYNOPSIS', 'DESCRIPTION', 'ENVIRONMENT', 'FILES', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO'];
const maxReadmeLines = 40;
const findings = collectFindings();
const packages = listPackages();
const commands = packages.filter((one) => one.isCommand);

lintPages();
for (const one of packages) checkReadme(one);
for (const one of commands) checkCommand(one);
findings.end();

function pages() {
  return readdirSync('man').flatMap((dir) => readdirSync(`man/${dir}`).map((file) => `man/${dir}/${file}`));
}

function lintPages() {
  const { error, stdout } = spawnSync('mandoc', ['-T', 'lint', '-W', 'warning', ...pages()], { encoding: 'utf8' });
  if (error) findings.add('man', `mandoc cannot be run: ${error.message}`);
  for (const line of (stdout ?? '').split('\n').filter(Boolean)) findings.add('man', line.replace(/^mandoc: /, ''));
  const names = new Set(commands.map((one) => `man/man1/${one.name}.1`));
  for (const page of pages()) if (page.startsWith('man/man1/') && !names.has(page)) findings.add(page, 'there is no such command');
}

function checkReadme(one) {
  const file = `${one.dir}/README.md`;
  const count = existsSync(file) ? readFileSync(file, 'utf8').split('\n').length - 1 : 0;
  if (count === 0) findings.add(file, 'is missing');
  if (count > maxReadmeLines) findings.add(file, `has ${count} lines, more than ${maxReadmeLines}`);
}

function checkCommand(one) {
  const help = output(one, '--help');
  if (output(one, '--version').trim() !== `${one.name} ${one.manifest.version}`) {
    findings.add(one.name, `--version is not "${one.name} ${one.manifest.version}"`);
  }
  const options = optionsOfHelp(help);
  for (const names of options) if (!names.at(-1).startsWith('--')) findings.add(one.name, `${names[0]} has no long form`);
  if (!options.some((names) => names.includes('-h'))) findings.add(one.name, 'has no -h');
  checkCompletions(one, options);
  const page = `man/man1/${one.name}.1`;
  if (existsSync(page)) checkPage(one, page, help);
  else findings.add(page, 'is missing');
}

function checkPage(one, page, help) {
  const source = readFileSync(page, 'utf8');
  checkSections(page, source);
  checkSynopsis(one, page, help);
  const together = (options) => options.map((names) => names.join(', '));
  const { onlyLeft, onlyRight } = differences(together(optionsOfHelp(help)), together(optionsOfPage(source)));
  for (const option of onlyLeft) findings.add(page, `does not document ${option}, which --help has`);
  for (const option of onlyRight) findings.add(page, `documents ${option}, which --help does not have`);
}

function checkSections(page, source) {
  const found = [...source.matchAll(/^\.Sh (.*)$/gm)].map((match) => match[1]);
  for (const section of differences(sections, found).onlyLeft) findings.add(page, `has no section ${section}`);
}

function checkSynopsis(one, page, help) {
  const usage = usageOf(one, help);
  const synopsis = synopsisOf(one, page);
  const { onlyLeft, onlyRight } = differences(usage, synopsis);
  for (const line of onlyLeft) findings.add(page, `SYNOPSIS does not have the usage "${line}"`);
  for (const line of onlyRight) findings.add(page, `SYNOPSIS has "${line}", which is not in --help`);
}

/** Each shell completes all options there are, and no other. */
function checkCompletions(one, options) {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const file = `etc/completions/${shell}/${{ bash: one.name, zsh: `_${one.name}`, fish: `${one.name}.fish` }[shell]}`;
    if (!existsSync(file)) {
      findings.add(file, 'is missing');
      continue;
    }
    const { onlyLeft, onlyRight } = differences(options.flat(), completedBy(shell, readFileSync(file, 'utf8')));
    for (const option of onlyLeft) findings.add(file, `does not complete ${option}`);
    for (const option of onlyRight) findings.add(file, `completes ${option}, which --help does not have`);
  }
}

/** The options in a completion file, in the form of its shell. */
function completedBy(shell, text) {
  const parts = {
    // Words to complete, and those whose value is completed in another way.
    bash: /compgen -W '(-[^']*)'|^ +(-[\w |-]+)\)/gm,
    // Up to the description of each.
    zsh: /^ +(?:'\([^)]*\)|'\*)?['{]*(-[^[:)\n]*)[[:]|^ +(-[\w |-]+)\)/gm,
    fish: /^complete -c \S+((?: -[sl] \S+)+)/gm,
  };
  const found = [...text.matchAll(parts[shell])].map((match) => match[1] ?? match[2]).join(' ');
  if (shell === 'fish') return [...found.matchAll(/-([sl]) (\S+)/g)].map(([, kind, name]) => `${kind === 's' ? '-' : '--'}${name}`);
  return found.match(/(?<![\w-])--?\w[\w-]*/g) ?? [];
}

function output(one, option) {
  const { stdout, stderr, status, error } = spawnSync(`packages/${one.name}/dist/${one.name}.cjs`, [option], { encoding: 'utf8' });
  if (error || status !== 0) findings.add(one.name, `${option} ends with ${error?.message ?? status}: ${stderr}`);
  return stdout ?? '';
}

/** The forms of a command line, without the word usage. */
function usageOf(one, help) {
  const head = help.slice(0, help.indexOf('\n\n')).replace(/^usage: /i, '');
  return formsOf(one, head);
}

/** The same from the page as a reader sees it, with overstriking taken out. */
function synopsisOf(one, page) {
  const { stdout } = spawnSync('mandoc', ['-T', 'ascii', '-O', 'width=1000', page], { encoding: 'utf8' });
  const parts = (stdout ?? '').split('\b');
  const text = parts.map((part, at) => (at < parts.length - 1 ? part.slice(0, -1) : part)).join('');
  return formsOf(one, /^SYNOPSIS\n([\s\S]*?)\n\S/m.exec(text)?.[1] ?? '');
}

function formsOf(one, text) {
  return text
    .split('\n')
    .map((line) => line.replace(/\s+/g, ' ').trim())
    .filter((line) => line.split(' ')[0] === one.name);
}

/** The names of each option, as `--help` has them on one line. */
function optionsOfHelp(help) {
  const lines = help.slice(help.indexOf('Options:')).split('\n');
  return lines.map((line) => /^\s+(-\S.*?)(?:\s{2,}|$)/.exec(line)?.[1]?.match(/(?<![\w-])--?[\w-]+/g)).filter(Boolean);
}

/** The same of a page, as its items have them; an option may have two items, for two kinds of value. */
function optionsOfPage(source) {
  return [...source.matchAll(/^\.It (Fl \S.*)$/gm)].map((item) =>
    [...item[1].matchAll(/\bFl (\S+)/g)].map((match) => `-${match[1].replaceAll('\\', '')}`),
  );
}
