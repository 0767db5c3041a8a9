import type { CommandNode, HereDoc, PipeOperator } from 'unbash';
import { hasNode, nodeName, type NodeWord, type Range } from './nodes.ts';
import { PipelineError } from './refusal.ts';
import type { Survey } from './survey.ts';
import { literalOf } from './word.ts';

/** Where a stage runs, as it was written: on a node, or it is a service itself. */
export interface Where {
  readonly kind: 'node' | 'service';
  readonly name: string;
}

/** One stage of a pipeline. */
export interface Stage {
  /** The source, without `@NODE` and with its here-documents behind it; empty for `@SERVICE`. */
  readonly text: string;
  readonly where: Where | undefined;
  /** The last part of the path of the program; undefined where a shell must be asked which it is. */
  readonly name: string | undefined;
  /** The words of a simple command to which a shell would do nothing but take their quotes away; undefined for any other. */
  readonly argv: readonly string[] | undefined;
  /** Its stderr goes where its stdout goes: `|&` stands behind it. */
  readonly joinsStderr: boolean;
  /** It has syntax of bash that not every shell has, or that others read as something else. */
  readonly needsBash: boolean;
}

/** A command of a pipeline, with what is known of it and of those beside it. */
export interface Part {
  readonly command: CommandNode;
  readonly survey: Survey;
  readonly operator: PipeOperator | undefined;
  readonly node: NodeWord | undefined;
}

// A stage is told to its node in a frame of 65,536 bytes, with 1,024 for all else that is in it.
const maxStageBytes = 64_512;

/** A stage from its part of the source; the bodies are all that the pipeline has. */
export function stageOf(source: string, part: Part, bodies: readonly Range[]): Stage {
  const { command, survey, operator, node } = part;
  const joinsStderr = operator === '|&';
  if (hasNode(source, command)) {
    const where: Where = { kind: 'service', name: nodeName(source, command.name) };
    return { text: '', where, name: undefined, argv: undefined, joinsStderr, needsBash: false };
  }
  return {
    text: textOf(source, part, bodies),
    where: node && { kind: 'node', name: node.name },
    name: nameOf(command),
    argv: argvOf(command),
    joinsStderr,
    needsBash: survey.needsBash,
  };
}

/** Throws PipelineError where a stage is longer than can be told to a node. */
export function checkLength({ text, argv }: Stage, number: number): void {
  if (Buffer.byteLength(JSON.stringify({ command: text, argv })) <= maxStageBytes) return;
  throw new PipelineError(`stage ${number} is longer than ${maxStageBytes} bytes of JSON`, 'put what is long into a file on the node');
}

/** Where the bodies of here-documents are, their last lines included; those inside others are part of them. */
export function bodiesOf(source: string, hereDocs: readonly HereDoc[]): readonly Range[] {
  const bodies: Range[] = [];
  for (const { body, closing } of [...hereDocs].sort((a, b) => a.body.pos - b.body.pos)) {
    const end = closing?.end ?? body.end;
    if (body.pos >= (bodies.at(-1)?.end ?? 0)) bodies.push({ pos: body.pos, end: source[end] === '\n' ? end + 1 : end });
  }
  return bodies;
}

function textOf(source: string, { command: { pos, end }, survey }: Part, bodies: readonly Range[]): string {
  const own = bodiesOf(source, survey.hereDocs);
  const owned = new Set(own.map((one) => one.pos));
  const foreign = bodies.filter((one) => one.pos > pos && one.pos < end && !owned.has(one.pos));
  const cuts = [pos, ...foreign.flatMap((one) => [one.pos, one.end]), end];
  const pieces = Array.from({ length: cuts.length / 2 }, (_, at) => source.slice(cuts[2 * at], cuts[2 * at + 1]));
  const behind = own.filter((one) => one.pos >= end).map((one) => source.slice(one.pos, one.end).replace(/\n?$/, '\n'));
  return pieces.join('') + (behind.length > 0 ? `\n${behind.join('')}` : '');
}

function nameOf(command: CommandNode): string | undefined {
  const word = command.type === 'Command' ? command.name : undefined;
  const name = word && literalOf(word)?.replace(/^.*\//s, '');
  return name === '' ? undefined : name;
}

function argvOf(command: CommandNode): readonly string[] | undefined {
  if (command.type !== 'Command' || command.name === undefined || command.prefix.length > 0) return undefined;
  const words = [command.name, ...command.suffix].map((one) => (one.type === 'Word' ? literalOf(one) : undefined));
  return words.every((one) => one !== undefined) ? words : undefined;
}
