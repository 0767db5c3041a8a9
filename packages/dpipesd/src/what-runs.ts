// What a client's PREPARE may run: any command of its own user's, or no more than what was named at the start.
import { printable } from '@dipus/proto/printable';
import type { Prepare } from '@dipus/proto/pipe';
import type { App } from './app.ts';

/** Why a stage may not run; the message is for its client. */
export class NotToRun extends Error {}

/** A text for a shell, or a program with its arguments. */
export type Chosen = { readonly command: string } | { readonly argv: readonly [string, ...string[]]; readonly app?: App };

/** Decides what a stage runs. Throws NotToRun. */
export type WhatRuns = (prepare: Prepare) => Chosen;

/** Whatever the client asks for, by a shell of this host. */
export const anyCommand: WhatRuns = ({ command = '' }) => {
  if (command.trim() === '') throw new NotToRun('no command is named, and it has none of its own');
  return { command };
};

/** One command with just these arguments, and apps; without a shell. A client that names nothing gets what there is one of. */
export function onlyThese(command: readonly [string, ...string[]] | undefined, apps: readonly App[]): WhatRuns {
  const names = [...(command ? [command.join(' ')] : []), ...apps.map(({ name }) => name)].map(printable).join(', ');
  return ({ command: text, argv }) => {
    if (command && (text === undefined || isSame(argv ?? [], command))) return { argv: command };
    if (text !== undefined && !argv) throw new NotToRun(`it has no shell, and runs nothing but ${names}: a plain command alone`);
    const [word, ...given] = argv ?? [];
    const app = word === undefined && apps.length === 1 ? apps[0] : apps.find(({ name }) => word?.split('/').at(-1) === name);
    if (!app) throw new NotToRun(`it runs nothing but ${names}`);
    checkArguments(app, given);
    return { argv: [...app.command, ...given], app };
  };
}

function checkArguments({ name, args }: App, given: readonly string[]): void {
  if (args === 'any') return;
  if (args === 'none' && given.length > 0) throw new NotToRun(`${name} takes no arguments here`);
  if (args !== 'none' && !isSame(given, args))
    throw new NotToRun(`${name} takes the arguments ${printable(args.join(' '))} here, and no others`);
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((word, at) => word === other[at]);
}
