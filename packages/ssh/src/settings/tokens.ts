import { createHash } from 'node:crypto';
import { hostname, userInfo } from 'node:os';

/** What the tokens of ssh_config(5) stand for. */
export interface TokenValues {
  readonly host: string;
  /** As the user wrote it. */
  readonly original: string;
  readonly port: number;
  readonly user: string;
  readonly alias: string;
  readonly jump: string;
}

/** A value of ssh_config with its `%` tokens replaced; an unknown one stays as it is. */
export function expandTokens(text: string, values: TokenValues): string {
  const known = tokensOf(values);
  return text.replace(/%([%A-Za-z])/g, (whole, letter: string) => known[letter]?.() ?? whole);
}

/** A path of ssh_config: tokens, `~` and `${VARIABLE}` replaced. The home is that of the account, as with ssh, whatever HOME says. */
export function expandPath(text: string, values: TokenValues): string {
  const withHome = text.replace(/^~(?=\/|$)/, () => userInfo().homedir);
  return expandTokens(withHome, values).replace(/\$\{(\w+)\}/g, (_, name: string) => process.env[name] ?? '');
}

function tokensOf({ host, original, port, user, alias, jump }: TokenValues): Record<string, () => string> {
  const local = hostname();
  return {
    '%': () => '%',
    C: () => createHash('sha1').update(`${local}${host}${port}${user}${jump}`).digest('hex'),
    d: () => userInfo().homedir,
    h: () => host,
    i: () => String(userInfo().uid),
    j: () => jump,
    k: () => alias,
    L: () => local.split('.')[0]!,
    l: () => local,
    n: () => original,
    p: () => String(port),
    r: () => user,
    u: () => userInfo().username,
  };
}
