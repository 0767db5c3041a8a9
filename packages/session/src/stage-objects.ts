// Object mode: what the input and the output of a stage are changed by. dpipes(1), Objects.
import type { LinkOrigin } from '@dipus/proto/pipe-link';
import type { ObjectSettings } from '@dipus/objects/settings';
import type { Change } from '@dipus/relay/changed-pump';
import { programName, type StageIdentity } from './stage-variables.ts';

/** What a stage does to its objects. */
export interface StageObjects {
  readonly settings: ObjectSettings;
  readonly identity: StageIdentity;
  /** What runs. */
  readonly argv: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
}

export interface StageChanges {
  readonly input: Change;
  /** Of the last stage alone. */
  readonly output?: Change;
}

/** `warn` is told of what has no metadata. */
export async function objectChanges(
  objects: StageObjects,
  from: LinkOrigin | undefined,
  warn: (message: string) => void,
): Promise<StageChanges> {
  const { settings, identity } = objects;
  const { stage, stages } = identity.prepare;
  const { spliceOf } = await import('@dipus/objects/settings');
  const input = spliceOf(settings, { metadata: JSON.stringify(metadataOf(objects, from)), warn: (text) => warn(`its input: ${text}`) });
  if (stage < stages || settings.keepsMetadata) return { input };
  return { input, output: spliceOf(settings, { warn }) };
}

function metadataOf({ settings, identity, argv, environment }: StageObjects, from: LinkOrigin | undefined): object {
  const more = { credential: identity.credential, environ: environment, argv };
  const all = {
    addr: from?.addr ?? null,
    port: from?.port ?? null,
    service: programName(identity.service),
    ...Object.fromEntries(settings.more.map((key) => [key, more[key]])),
  };
  return Object.fromEntries(Object.entries(all).map(([key, value]) => [settings.prefix + key, value]));
}
