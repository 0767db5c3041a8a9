import type { Service } from '@dipus/proto/name';
import type { Prepare } from '@dipus/proto/pipe';
import type { LinkOrigin } from '@dipus/proto/pipe-link';

/** What a stage is, for its program. */
export interface StageIdentity {
  readonly prepare: Prepare;
  /** The name under which it runs. */
  readonly service: Service;
  /** As whom. */
  readonly user: string;
  readonly groups: readonly string[];
  readonly credential: Credential;
}

/** Who has opened the service's socket, and how that is known. */
export interface Credential {
  readonly user: string | null;
  readonly by: 'unix' | 'none';
}

/** Of a socket that nobody but a user can open; undefined: it is not known who has. */
export function credentialOf(user: string | undefined): Credential {
  return user === undefined ? { user: null, by: 'none' } : { user, by: 'unix' };
}

/** A service's name without its host, as in `dp.sort`. */
export function programName({ protocol, name }: Service): string {
  return [...protocol.split('/'), name].filter(Boolean).join('.');
}

/** What the program of a stage finds in its environment. */
export function stageVariables({ prepare, service, user, groups, credential }: StageIdentity, from?: LinkOrigin): Record<string, string> {
  const { pipe, stage, stages, client } = prepare;
  return {
    DPIPES_ID: pipe,
    DPIPES_STAGE: String(stage),
    DPIPES_STAGES: String(stages),
    DPIPES_SERVICE: programName(service),
    DPIPES_HOST: service.host,
    DPIPES_USER: user,
    DPIPES_GROUPS: groups.join(' '),
    DPIPES_CREDENTIAL: JSON.stringify(credential),
    ...(client !== undefined && { DPIPES_CLIENT: client }),
    ...(from && { DPIPES_ADDR: from.addr }),
    ...(from && from.port !== null && { DPIPES_PORT: String(from.port) }),
  };
}
