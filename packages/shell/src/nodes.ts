import { maxStages } from '@dipus/proto/pipe';
import { isPrintable } from '@dipus/proto/printable';
import { parse, type Command, type CommandNode, type ParsedScript, type Pipeline, type Word } from 'unbash';
import { PipelineError, refusal } from './refusal.ts';
import { unreadOf } from './word.ts';

/** `@NODE` before a command: its name, and where it stands. */
export interface NodeWord extends Range {
  readonly name: string;
}

/** A part of a text. */
export interface Range {
  readonly pos: number;
  readonly end: number;
}

export type PipelineTree = Pick<Pipeline, 'prefixes' | 'commands' | 'operators'>;

type NodeCommand = Command & { readonly name: Word };

/** A text with blanks where its `@NODE`s were, as long as before, and what it is to a shell. */
export interface WithoutNodes {
  readonly source: string;
  readonly script: ParsedScript;
  readonly nodes: readonly NodeWord[];
}

/** Takes every `@NODE` that stands before a command out of a text: it is no word of the shell. Throws PipelineError. */
export function takeNodes(text: string): WithoutNodes {
  const nodes: NodeWord[] = [];
  for (let source = text; ;) {
    const script = parse(source);
    const commands = firstPipeline(script)?.commands ?? [];
    // Up to this one the tree is right: to a shell `@a { b; c; }` is a command with the argument `{`, and then another command.
    const command = commands.find((one): one is NodeCommand => hasNode(source, one) && !isAlone(source, one));
    if ((command ? commands.indexOf(command) + 1 : commands.length) > maxStages) {
      throw new PipelineError(`more than ${maxStages} stages`, "let one stage have several commands: dpipes '(a | b) | c'");
    }
    if (!command) return { source, script, nodes };
    checkNode(source, command);
    const { pos, end } = command.name;
    nodes.push({ name: nodeName(source, command.name), pos, end });
    source = blanked(source, [{ pos, end }]);
  }
}

/** The first pipeline of a script, also where it is one command; undefined where there is none. */
export function firstPipeline(script: ParsedScript): PipelineTree | undefined {
  const command = script.commands[0]?.command;
  const first = command?.type === 'AndOr' ? command.commands[0] : command;
  if (first === undefined) return undefined;
  return first.type === 'Pipeline' ? first : { prefixes: [], commands: [first], operators: [] };
}

/** Whether a command begins with `@`, neither quoted nor escaped. */
export function hasNode(source: string, command: CommandNode): command is NodeCommand {
  return command.type === 'Command' && command.name !== undefined && source[command.name.pos] === '@';
}

/** What stands behind the `@`. Throws PipelineError where that is no name. */
export function nodeName(text: string, word: Word): string {
  const name = unreadOf(word)?.slice(1);
  if (name !== undefined && name !== '' && isPrintable(name)) return name;
  throw refusal(text, {
    pos: word.pos,
    words: word.text,
    reason: 'names no node and no service',
    hint: 'no shell fills it in; a program that is really so called begins with \\@',
  });
}

/** Blanks instead of parts of a text, which are in its order. */
export function blanked(text: string, ranges: readonly Range[]): string {
  let from = 0;
  const pieces = ranges.map(({ pos, end }) => {
    const piece = text.slice(from, pos) + ' '.repeat(end - pos);
    from = end;
    return piece;
  });
  return pieces.join('') + text.slice(from);
}

/** Whether it is `@SERVICE`. The parser passes over a `(` behind a word. */
function isAlone(source: string, { name, prefix, suffix }: NodeCommand): boolean {
  return prefix.length + suffix.length === 0 && !/^(?:[ \t]|\\\n)*\(/.test(source.slice(name.end));
}

function checkNode(text: string, { name, prefix, suffix }: NodeCommand): void {
  const here = { pos: name.pos, words: name.text };
  if (prefix.length > 0) {
    throw refusal(text, { ...here, reason: 'does not begin its stage', hint: `dpipes '${name.text} X=1 COMMAND'` });
  }
  if (suffix.length > 0 && !suffix.some(isArgument)) {
    const hint = `a service writes to the next stage: dpipes '${name.text} | cat > FILE'; a node wants a command before the redirection`;
    throw refusal(text, { ...here, reason: 'has a redirection but no command', hint });
  }
  const next = suffix.find(isArgument);
  if (next?.text === '!') {
    const hint = `it negates the whole pipeline: dpipes '! ${name.text} COMMAND'`;
    throw refusal(text, { pos: next.pos, words: '!', reason: `stands behind ${name.text}`, hint });
  }
  if (next !== undefined && text[next.pos] === '@') {
    const hint = `a stage has one place; a program that is really so called begins with \\@`;
    throw refusal(text, { pos: next.pos, words: next.text, reason: `stands behind ${name.text}`, hint });
  }
}

function isArgument(one: Command['suffix'][number]): one is Command['args'][number] {
  return one.type === 'Word' || one.type === 'Assignment';
}
