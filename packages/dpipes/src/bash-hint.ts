import type { ReadyStage } from './prepare.ts';
import { nameOf } from './wanted.ts';

/** With what a shell ends that cannot read something, or takes it for a command that is not there. */
const unread = [2, 127];

/** Tells what can be done where a stage has failed with syntax that its shell may not have. */
export function hintAtBash(stages: readonly ReadyStage[], warn: (news: string) => void): void {
  for (const { wanted, client, hasOwnShell } of stages) {
    if (!wanted.stage.needsBash || hasOwnShell) continue;
    void client.ended.then((result) => {
      if (!('exit' in result && 'code' in result.exit && unread.includes(result.exit.code))) return;
      warn(`${nameOf(wanted)} has syntax of bash, and was run by sh: -O shell=/bin/bash, where its node takes that, or bash -c '...'`);
    });
  }
}
