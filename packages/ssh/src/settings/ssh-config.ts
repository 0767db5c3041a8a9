import { userInfo } from 'node:os';
import { runFile } from '@dipus/programs/start-process';
import { codeOf, Failure, reasonOf } from '@dipus/proto/failure';
import { timing } from '@dipus/proto/timing';
import { emptyKind, narrowOffer, type Offer } from './algorithms.ts';
import { proxyOf, type Proxy } from '../connection/proxy.ts';
import { parseSettings, type Settings } from './settings.ts';
import { formatTarget, wayOut, type LoginTarget } from './target.ts';
import type { ServerAddress } from '../connection/transport.ts';
import { expandPath, type TokenValues } from './tokens.ts';

export type AuthMethod = 'publickey' | 'keyboard-interactive' | 'password';

/** The user's own settings for a host. */
export interface SshConfig extends ServerAddress {
  readonly target: LoginTarget;
  readonly user: string;
  readonly proxy?: Proxy;
  /** From the start of connecting to the server's first line. */
  readonly connectMs: number;
  readonly offer: Offer;
  readonly hostKeys: HostKeyConfig;
  readonly auth: AuthConfig;
}

export interface HostKeyConfig {
  /** The name in known_hosts. */
  readonly name: string;
  /** The same without the port, under which a key is accepted too, as ssh does it; undefined where they are one. */
  readonly portlessName: string | undefined;
  /** Whose keys are refused whatever else is known. */
  readonly revokedFile: string | undefined;
  /** Any key is taken from this host itself. */
  readonly isLocalhostTrusted: boolean;
  /** What is known of the address counts too. */
  readonly isAddressChecked: boolean;
  /** The user wants keys looked up in DNS, which is not done. */
  readonly hasDnsKeys: boolean;
  readonly leastRsaBits: number;
  /** The first is the one that is written. */
  readonly userFiles: readonly string[];
  readonly globalFiles: readonly string[];
  readonly strictness: 'yes' | 'no' | 'ask' | 'accept-new';
  readonly isHashed: boolean;
}

export interface AuthConfig {
  readonly methods: readonly AuthMethod[];
  /** The agent's socket; undefined: none. */
  readonly agent: string | undefined;
  readonly identityFiles: readonly string[];
  /** Keys of the agent count only where they are those of the files. */
  readonly isIdentitiesOnly: boolean;
  readonly certificateFiles: readonly string[];
  /** Algorithms by which a key may be used; undefined: all that are safe. */
  readonly keyAlgorithms: readonly string[] | undefined;
  readonly leastRsaBits: number;
  /** Where keys are that cannot be used; undefined: nowhere. */
  readonly pkcs11: string | undefined;
  /** How often a passphrase or password may be asked for. */
  readonly promptCount: number;
  /** Nobody is to be asked. */
  readonly isBatch: boolean;
}

/** Asks `ssh -G` for the settings of a host; the defaults of OpenSSH where there is no ssh. Rejects with Failure. */
export async function readSshConfig(
  target: LoginTarget,
  { explain, stop }: { explain(line: string): void; stop: AbortSignal },
): Promise<SshConfig> {
  const port = target.port === undefined ? [] : ['-p', String(target.port)];
  const user = target.user === undefined ? [] : ['-l', target.user];
  const text = await askSsh(['-G', ...port, ...user, '--', target.host], target, stop);
  if (text === undefined) explain('there is no ssh on PATH: no ssh_config is read, the defaults count');
  return configOf(target, parseSettings(text ?? ''));
}

async function askSsh(args: readonly string[], target: LoginTarget, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await runFile('ssh', args, { signal })).stdout;
  } catch (error) {
    if (!signal.aborted && codeOf(error) === 'ENOENT') return undefined;
    const why = codeOf(error) === undefined ? reasonOf(error) : `cannot run ssh: ${reasonOf(error)}`;
    throw new Failure('read the ssh settings for', formatTarget(target), signal.aborted ? 'interrupted' : why);
  }
}

function configOf(target: LoginTarget, settings: Settings): SshConfig {
  const host = settings.one('hostname') ?? target.host;
  const port = Number(settings.one('port') ?? target.port ?? 22);
  const user = settings.one('user') ?? target.user ?? userInfo().username;
  const jump = settings.word('proxyjump') ?? '';
  const alias = settings.one('hostkeyalias');
  const values: TokenValues = { host, original: target.host, port, user, alias: alias ?? host, jump };
  const refused = unsupported.find(([, isSet]) => isSet(settings));
  if (refused)
    throw new Failure('read the ssh settings for', formatTarget(target), `${refused[0]} is not supported`).withHint(wayOut(target));
  const proxy = proxyOf(settings.word('proxycommand'), values);
  const bindAddress = settings.word('bindaddress');
  const offer = narrowOffer({
    kex: settings.list('kexalgorithms'),
    serverHostKey: settings.list('hostkeyalgorithms'),
    cipher: settings.list('ciphers'),
    hmac: settings.list('macs'),
  });
  const missing = emptyKind(offer);
  if (missing) throw new Failure('read the ssh settings for', formatTarget(target), `they allow no ${missing} that is safe and known here`);
  return {
    target,
    host,
    port,
    user,
    family: ({ inet: 4, inet6: 6 } as const)[settings.one('addressfamily') ?? ''] ?? 0,
    ...(bindAddress !== undefined && { bindAddress }),
    ...(proxy && { proxy }),
    connectMs: settings.seconds('connecttimeout') ?? (proxy ? timing.proxyMs : timing.headMs),
    offer,
    hostKeys: {
      name: alias?.toLowerCase() ?? knownName(host, port),
      portlessName: alias === undefined && port !== 22 ? host.toLowerCase() : undefined,
      revokedFile: fileOf(settings.word('revokedhostkeys'), values),
      isLocalhostTrusted: settings.isOn('nohostauthenticationforlocalhost', false),
      isAddressChecked: settings.isOn('checkhostip', false),
      hasDnsKeys: settings.isOn('verifyhostkeydns', false) || settings.one('verifyhostkeydns') === 'ask',
      leastRsaBits: leastRsaBitsOf(settings),
      userFiles: settings
        .files('userknownhostsfile', ['~/.ssh/known_hosts', '~/.ssh/known_hosts2'])
        .map((file) => expandPath(file, values)),
      globalFiles: settings.files('globalknownhostsfile', ['/etc/ssh/ssh_known_hosts', '/etc/ssh/ssh_known_hosts2']),
      strictness: strictnessOf(settings.one('stricthostkeychecking')),
      isHashed: settings.isOn('hashknownhosts', false),
    },
    auth: authOf(settings, values),
  };
}

/** What decides whom to trust, or which way to go, and cannot be honoured: the login is refused by its name. */
const unsupported: readonly [name: string, isSet: (settings: Settings) => boolean][] = [
  ['ProxyUseFdpass', (settings) => settings.isOn('proxyusefdpass', false)],
  ['KnownHostsCommand', (settings) => settings.word('knownhostscommand') !== undefined],
  ['BindInterface', (settings) => settings.word('bindinterface') !== undefined],
];

// Fewer bits are not safe, whatever the settings say.
const leastRsaBits = 2048;

function leastRsaBitsOf(settings: Settings): number {
  return Math.max(leastRsaBits, Number(settings.one('requiredrsasize') ?? 0) || 0);
}

function fileOf(setting: string | undefined, values: TokenValues): string | undefined {
  return setting === undefined ? undefined : expandPath(setting, values);
}

const defaultIdentities = ['id_rsa', 'id_ecdsa', 'id_ed25519'].map((name) => `~/.ssh/${name}`);

function authOf(settings: Settings, values: TokenValues): AuthConfig {
  const methods: [AuthMethod, string][] = [
    ['publickey', 'pubkeyauthentication'],
    ['keyboard-interactive', 'kbdinteractiveauthentication'],
    ['password', 'passwordauthentication'],
  ];
  const named = settings.list('preferredauthentications');
  const allowed = methods.filter(([method, setting]) => settings.isOn(setting, true) && (named?.includes(method) ?? true));
  const files = settings.all('identityfile') ?? defaultIdentities;
  return {
    methods: allowed.map(([method]) => method),
    agent: agentOf(settings.one('identityagent'), values),
    identityFiles: files.filter((file) => file !== 'none').map((file) => expandPath(file, values)),
    isIdentitiesOnly: settings.isOn('identitiesonly', false),
    certificateFiles: settings.all('certificatefile') ?? [],
    keyAlgorithms: settings.list('pubkeyacceptedalgorithms') ?? settings.list('pubkeyacceptedkeytypes'),
    leastRsaBits: leastRsaBitsOf(settings),
    pkcs11: settings.word('pkcs11provider'),
    promptCount: Number(settings.one('numberofpasswordprompts') ?? 3),
    isBatch: settings.isOn('batchmode', false),
  };
}

/** The name of a host or address in known_hosts: `[host]:port` where the port is not ssh's own (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export function knownName(host: string, port: number): string {
  const name = host.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

function agentOf(setting: string | undefined, values: TokenValues): string | undefined {
  if (setting === 'none') return undefined;
  if (setting === undefined || setting === 'SSH_AUTH_SOCK') return process.env['SSH_AUTH_SOCK'] || undefined;
  if (/^\$\w+$/.test(setting)) return process.env[setting.slice(1)] || undefined;
  return expandPath(setting, values);
}

function strictnessOf(setting: string | undefined): HostKeyConfig['strictness'] {
  if (setting === 'yes' || setting === 'true') return 'yes';
  if (setting === 'no' || setting === 'off' || setting === 'false') return 'no';
  return setting === 'accept-new' ? 'accept-new' : 'ask';
}
