import { printable } from '@dipus/proto/printable';
import { forEachChild, type CommandNode, type DoubleQuotedChild, type HereDoc, type SyntaxNode } from 'unbash';

/** What there is anywhere inside a command. */
export interface Survey {
  /** Those whose bodies stand in the source itself. */
  readonly hereDocs: readonly HereDoc[];
  readonly needsBash: boolean;
  /** The first thing that no shell can read. */
  readonly fault: SyntaxFault | undefined;
}

export interface SyntaxFault {
  readonly pos: number;
  readonly message: string;
  readonly hint?: string;
}

const bashOnly: ReadonlySet<SyntaxNode['type']> = new Set([
  'AnsiCQuoted',
  'ArithmeticCommand',
  'ArithmeticFor',
  'ArrayValue',
  'BraceExpansion',
  'CaseModification',
  'Coproc',
  'ExtendedGlob',
  'FileDescriptorVariable',
  'HereString',
  'LocaleString',
  'Names',
  'ProcessSubstitution',
  'Replace',
  'Select',
  'Slice',
  'TestCommand',
  'Transform',
]);

/** Looks at everything inside a command, however deep. */
export function survey(command: CommandNode): Survey {
  const hereDocs: HereDoc[] = [];
  const faults: SyntaxFault[] = [];
  let needsBash = false;
  // What is in backquotes with backslashes has positions of its own; `at` is where that begins in the source.
  const waiting: { readonly node: SyntaxNode; readonly at: number | undefined }[] = [{ node: command, at: undefined }];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { node, at } = next;
    needsBash ||= bashOnly.has(node.type) || isBashForm(node);
    if (node.type === 'HereDoc' && at === undefined) hereDocs.push(node);
    for (const fault of faultsOf(node)) faults.push({ ...fault, pos: at ?? fault.pos });
    forEachChild(node, (child) => {
      const hasOwnPositions = child.type === 'Script' && child.source !== undefined;
      waiting.push({ node: child, at: at ?? (hasOwnPositions ? node.pos : undefined) });
    });
  }
  return { hereDocs, needsBash, fault: faults.sort((a, b) => a.pos - b.pos)[0] };
}

function faultsOf(node: SyntaxNode): readonly SyntaxFault[] {
  if (node.type === 'HereDoc' && node.closing === undefined) {
    const word = node.delimiter?.value ?? '';
    return [{ pos: node.pos, message: 'here-document without an end', hint: `end it with a line of nothing but ${printable(word)}` }];
  }
  if (node.type === 'DoubleQuoted') return node.parts.flatMap(quoteFaults);
  // A script in a script tells its own errors.
  return node.type === 'Script' ? (node.errors ?? []) : [];
}

/** In double quotes, the `'` of `${x:-it's}` hides what follows it from bash, up to another `'`; from other shells it hides nothing. */
function quoteFaults(part: DoubleQuotedChild): readonly SyntaxFault[] {
  if (part.type !== 'ParameterExpansion' || part.operation?.type !== 'Default') return [];
  const { operand } = part.operation;
  const literals = operand.parts === undefined ? [operand] : operand.parts.filter((one) => one.type === 'Literal');
  const open = literals.find(({ text }) => text.replace(/\\./gs, '').split("'").length % 2 === 0);
  if (open === undefined) return [];
  const hint = `put it into a variable first: { x="it's"; a "\${y:-$x}"; } | b`;
  return [{ pos: open.pos, message: "a ' that not every shell reads alike", hint }];
}

/** What the type of a node alone does not tell. */
function isBashForm(node: SyntaxNode): boolean {
  switch (node.type) {
    case 'ArithmeticExpansion':
      return node.text.startsWith('$[');
    case 'Assignment':
      return node.append === true || node.index !== undefined;
    case 'CaseItem':
      return node.terminator !== undefined && node.terminator !== ';;';
    case 'CommandExpansion':
      return node.text.startsWith('${');
    case 'Function':
      // The word `function` stands before the name.
      return node.name.pos !== node.pos;
    case 'ParameterExpansion':
      return node.prefix === '!' || node.index !== undefined;
    case 'Pipeline':
      return node.operators.includes('|&');
    case 'Redirect':
      return node.operator === '&>' || node.operator === '&>>';
    default:
      return false;
  }
}
