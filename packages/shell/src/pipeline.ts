/** One pipeline in the shell's language, split into its stages: dpipes(1). */
import type { ParsedScript } from 'unbash';
import { checkBetween } from './between.ts';
import { blanked, firstPipeline, takeNodes, type NodeWord, type PipelineTree } from './nodes.ts';
import { positionOf, PipelineError, refusal, shortened } from './refusal.ts';
import { bodiesOf, checkLength, stageOf, type Part, type Stage } from './stage.ts';
import { survey, type SyntaxFault } from './survey.ts';

/** One pipeline. */
export interface Pipeline {
  /** `!` stands before it. */
  readonly isNegated: boolean;
  readonly stages: readonly Stage[];
}

/**
 * Splits a text that is exactly one pipeline of a shell, with `@NODE` and `@SERVICE`, into its stages. Nothing of the text is lost, and
 * nothing is expanded. Throws PipelineError for everything else.
 */
export function splitPipeline(text: string): Pipeline {
  checkCharacters(text);
  const { source, script, nodes } = takeNodes(text);
  checkErrors(text, script);
  const tree = firstPipeline(script);
  if (!tree) throw noCommand();
  checkKinds(text, tree);
  const parts = partsOf(tree, nodes);
  checkFault(
    text,
    parts.map((part) => part.survey.fault).find((fault) => fault !== undefined),
  );
  const bodies = bodiesOf(
    source,
    parts.flatMap((part) => part.survey.hereDocs),
  );
  checkBetween(text, blanked(source, [...tree.prefixes, ...bodies]), tree.commands);
  const stages = parts.map((part) => stageOf(source, part, bodies));
  for (const [at, stage] of stages.entries()) checkLength(stage, at + 1);
  return { isNegated: tree.prefixes.length % 2 === 1, stages };
}

// Node puts U+FFFD where an argument has bytes that are not UTF-8; to send that on would change the command.
function checkCharacters(text: string): void {
  const pos = text.search(/[\0\ufffd]|\p{Surrogate}/u);
  if (pos < 0) return;
  const what = text[pos] === '\0' ? 'a NUL' : 'bytes that are not UTF-8';
  throw new PipelineError(`${what} at ${positionOf(text, pos)}`, "printf '\\000' writes such a byte by its number in octal");
}

function checkErrors(text: string, { errors = [] }: ParsedScript): void {
  checkFault(text, [...errors].sort((a, b) => a.pos - b.pos)[0]);
}

function checkFault(text: string, fault: SyntaxFault | undefined): void {
  if (!fault) return;
  const where = positionOf(text, fault.pos);
  const isBehindPipe = /^expected command after '\|&?'$/.test(fault.message);
  const negation = isBehindPipe && /^\s*!/.exec(text.slice(fault.pos));
  if (negation) {
    const pos = fault.pos + negation[0].length - 1;
    throw refusal(text, { pos, words: '!', reason: 'negates the whole pipeline', hint: "it stands before it: dpipes '! a | b'" });
  }
  if (isBehindPipe || /^\|(?!\|)/.test(text.slice(fault.pos))) {
    throw new PipelineError(`a stage is missing at ${where}`, '| stands between two stages; quote it where it is meant for a program');
  }
  throw new PipelineError(`${shortened(fault.message)} at ${where}`, fault.hint ?? "quote with '…' or \\ what is meant for a program");
}

function noCommand(): PipelineError {
  return new PipelineError('there is no command', "dpipes 'sort FILE | head -3'");
}

/** Refuses what a shell takes for part of a pipeline but no node could run. */
function checkKinds(text: string, { prefixes, commands }: PipelineTree): void {
  const time = prefixes.find((one) => one.type === 'Time');
  if (time) {
    const hint = "time dpipes 'a | b' measures all of it; a program that is so called begins with \\: dpipes '\\time a'";
    throw refusal(text, { pos: time.pos, words: 'time', reason: 'would measure in one shell, but each stage has its own', hint });
  }
  if (commands.length === 0) throw noCommand();
  for (const { type, pos } of commands) {
    if (type === 'Function') {
      const hint = "define it in the stage that calls it: dpipes '{ f() { a; }; f; } | b'";
      throw refusal(text, { pos, words: 'the function', reason: 'is defined but not called', hint });
    }
    if (type === 'Coproc') {
      const hint = "stages are connected without it; in a shell of its own: dpipes '{ coproc a; b; } | c'";
      throw refusal(text, { pos, words: 'coproc', reason: 'is not a stage', hint });
    }
  }
}

function partsOf({ commands, operators }: PipelineTree, nodes: readonly NodeWord[]): readonly Part[] {
  return commands.map((command, at) => {
    const end = commands[at - 1]?.end ?? 0;
    const node = nodes.find((one) => one.pos >= end && one.pos < command.pos);
    return { command, survey: survey(command), operator: operators[at], node };
  });
}
