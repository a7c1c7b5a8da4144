import { isIPv6 } from 'node:net';
import { nearest } from '../lib/nearest.ts';
import type { EffectiveSetting } from '../model/admin.ts';
import type { Settings } from '../model/settings.ts';
import { readSettingsFile, type FileEntry } from './settings/file.ts';
import { chooseSource, discoverySettings, type Source } from './settings/source.ts';
import {
  SETTINGS,
  type LaterSetting,
  type Machine,
  type Setting,
  type SettingName,
  type Values,
} from './settings/table.ts';

export type { SettingName } from './settings/table.ts';

export interface SettingsInput {
  /** Texts of the flags that were given, by name without the dashes; an empty text is a flag without its value. */
  readonly flags: ReadonlyMap<string, readonly string[]>;
  readonly env: NodeJS.ProcessEnv;
  /** Throws when the file cannot be read. */
  readonly readFile: (path: string) => string;
  readonly machine: Machine;
  /** What a command has in place of the defaults of the table, by name. */
  readonly defaults?: ReadonlyMap<string, string>;
}

/** Where the value in force came from. */
export type SettingOrigin = EffectiveSetting['origin'];

export type SettingsResult =
  | {
      readonly type: 'settings';
      readonly settings: Settings;
      /** All of them as text, with where each came from. */
      readonly effective: readonly EffectiveSetting[];
      readonly warnings: readonly string[];
    }
  | { readonly type: 'errors'; readonly errors: readonly string[] };

/** A value before it is parsed. */
interface Given {
  readonly text: string;
  readonly origin: SettingOrigin;
  /** As error messages name it: `--limit-head`, `HEDDLE_LIMIT_HEAD` or `heddle.yaml:3: limit-head`. */
  readonly place: string;
}

type Givens = ReadonlyMap<string, Given>;

/** Flags over environment over file over default. All errors are told at once, each with its place and what is allowed. */
export function parseSettings({ flags, env, readFile, machine, defaults }: SettingsInput): SettingsResult {
  const errors: string[] = [];
  const fromFlags = flagSource(flags);
  const { source: fromEnvironment, warnings } = environmentSource(env);
  const fromFile = fileSource(fromFlags.get('config') ?? fromEnvironment.get('config'), { readFile, errors });

  const values: Record<string, unknown> = {};
  const origins: Record<string, SettingOrigin> = {};
  const places: Record<string, string> = {};
  const texts: Record<string, string> = {};
  for (const [name, setting] of Object.entries<Setting<unknown> | LaterSetting>(SETTINGS)) {
    const given = fromFlags.get(name) ?? fromEnvironment.get(name) ?? fromFile?.get(name);
    if ('later' in setting) {
      if (given !== undefined)
        errors.push(`${given.place}: Is known, but comes with a later version (${setting.later})`);
      continue;
    }
    const { kind } = setting;
    const {
      text: written,
      origin,
      place,
    } = given ?? {
      text:
        defaults?.get(name) ?? (typeof setting.default === 'string' ? setting.default : setting.default(machine, env)),
      origin: 'default' as const,
      place: `--${name}`,
    };
    const text = written === '' && origin === 'flag' ? (kind.alone ?? '') : written;
    const parsed = text === '' && origin !== 'default' ? undefined : kind.parse(text);
    if (parsed === undefined) {
      const got = text === '' ? 'nothing' : `"${kind.shown?.(text) ?? text}"`;
      errors.push(`${place}: Expected ${kind.allowed}, got ${got}`);
    }
    values[name] = parsed?.value;
    origins[name] = origin;
    places[name] = place;
    texts[name] = text;
  }
  relate(values, { origins, places, texts, errors });
  const chosen = chooseSource({
    wished: values['discovery'] as Values['discovery'],
    given: (name) => origins[name] !== 'default',
    inPod: machine.inPod,
  });
  // Where the file could not be read, what is missing may stand in it.
  if ('error' in chosen && fromFile !== undefined) errors.push(chosen.error);
  if ('error' in chosen || errors.length > 0) return { type: 'errors', errors };
  texts['discovery'] = chosen.source;
  return {
    type: 'settings',
    settings: assemble(values as Values, chosen.source, machine),
    effective: Object.entries(texts).map(([name, value]) => ({ name, value, origin: origins[name]! })),
    warnings,
  };
}

function flagSource(flags: SettingsInput['flags']): Givens {
  const source = new Map<string, Given>();
  for (const [name, texts] of flags)
    source.set(name, { text: joinTexts(name, texts), origin: 'flag', place: `--${name}` });
  return source;
}

/** A flag given twice: items of a list add up, of other settings the last one counts. */
function joinTexts(name: string, texts: readonly string[]): string {
  const setting: Setting<unknown> | LaterSetting | undefined = SETTINGS[name as SettingName];
  const repeatable = setting !== undefined && 'kind' in setting && setting.kind.repeatable === true;
  return repeatable ? texts.join(',') : (texts.at(-1) ?? '');
}

/** Variables of the launchers, and of the commands that ask a running node. */
const OTHER_VARIABLES = new Set(['HEDDLE_NODE_BINARY', 'HEDDLE_DIST', 'HEDDLE_ADMIN', 'HEDDLE_BRIDGE']);
/** What Kubernetes injects into pods for a Service named heddle or heddle-something (`enableServiceLinks`). */
const SERVICE_LINK =
  /^HEDDLE_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

/** An empty variable counts as absent, as everywhere in shells and manifests. Unknown ones may be another program's. */
function environmentSource(env: NodeJS.ProcessEnv): { source: Givens; warnings: readonly string[] } {
  const names = new Map(Object.keys(SETTINGS).map((name) => [variableName(name), name]));
  const source = new Map<string, Given>();
  const warnings: string[] = [];
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith('HEDDLE_')) continue;
    const name = names.get(variable);
    if (name !== undefined) {
      if (text) source.set(name, { text, origin: 'environment', place: variable });
    } else if (!OTHER_VARIABLES.has(variable) && !SERVICE_LINK.test(variable)) {
      warnings.push(`${variable}: No such setting${didYouMean(variable, names.keys())}`);
    }
  }
  return { source, warnings };
}

function variableName(name: string): string {
  return `HEDDLE_${name.toUpperCase().replaceAll('-', '_')}`;
}

/** `undefined` when the file could not be read as one. */
function fileSource(
  config: Given | undefined,
  { readFile, errors }: { readFile: SettingsInput['readFile']; errors: string[] },
): Givens | undefined {
  const source = new Map<string, Given>();
  if (config === undefined || config.text === '') return source;
  let text: string;
  try {
    text = readFile(config.text);
  } catch (error) {
    errors.push(`${config.place}: Expected a file that can be read, got ${(error as Error).message}`);
    return undefined;
  }
  const content = readSettingsFile({ path: config.text, text });
  errors.push(...content.errors);
  for (const entry of content.entries ?? []) addFileEntry(entry, { source, errors });
  return content.entries === undefined ? undefined : source;
}

function addFileEntry(
  { name, texts, place }: FileEntry,
  { source, errors }: { source: Map<string, Given>; errors: string[] },
): void {
  if (name === 'config') errors.push(`${place}: A settings file cannot name another one`);
  else if (Object.hasOwn(SETTINGS, name)) source.set(name, { text: joinTexts(name, texts), origin: 'file', place });
  else errors.push(`${place}: No such setting${didYouMean(name, Object.keys(SETTINGS))}`);
}

/** `; did you mean limit-head?`, or nothing. */
export function didYouMean(word: string, known: Iterable<string>): string {
  const candidate = nearest(word, known);
  return candidate === undefined ? '' : `; did you mean ${candidate}?`;
}

interface Checked {
  readonly origins: Readonly<Record<string, SettingOrigin>>;
  readonly places: Readonly<Record<string, string>>;
  readonly texts: Record<string, string>;
  readonly errors: string[];
}

/** What one setting says about another. */
function relate(values: Record<string, unknown>, checked: Checked): void {
  for (const [name, setting] of Object.entries<Setting<unknown> | LaterSetting>(SETTINGS)) {
    if ('later' in setting) continue;
    const { atMost, needs, excludes = [] } = setting;
    const { origins, places, errors } = checked;
    if (atMost !== undefined) lower(values, { name, atMost }, checked);
    if (origins[name] === 'default') continue;
    if (needs !== undefined && origins[needs] === 'default')
      errors.push(`${places[name]}: Expected --${needs} with it, got none`);
    const other = excludes.find((one) => origins[one] !== 'default');
    if (other !== undefined) errors.push(`${places[name]}: Expected no --${other} beside it, got both`);
  }
  shareHost(values, checked);
}

/** A default gives way to what the user asked for. */
function lower(
  values: Record<string, unknown>,
  { name, atMost }: { readonly name: string; readonly atMost: string },
  { origins, places, texts, errors }: Checked,
): void {
  const limit = values[atMost] as number;
  // Also false where one of both did not parse: that has its own error.
  if (!((values[name] as number) > limit)) return;
  if (origins[name] === 'default') {
    values[name] = limit;
    texts[name] = texts[atMost]!;
  } else errors.push(`${places[name]}: Expected no more than --${atMost}, got more`);
}

/** The bridge is as open as the mesh where nobody says otherwise. */
function shareHost(values: Record<string, unknown>, { texts }: Checked): void {
  const mesh = values['mesh-listen'] as Values['mesh-listen'];
  const bridge = values['bridge-listen'] as Values['bridge-listen'];
  if (bridge === undefined || bridge.host !== undefined || mesh?.host === undefined) return;
  values['bridge-listen'] = { ...bridge, host: mesh.host };
  texts['bridge-listen'] = `${isIPv6(mesh.host) ? `[${mesh.host}]` : mesh.host}:${bridge.port}`;
}

function assemble(values: Values, source: Source, machine: Machine): Settings {
  const automaticFormat = machine.terminal ? 'pretty' : 'json';
  return {
    discovery: discoverySettings(source, values),
    nodeName: values['node-name'],
    zone: values.zone,
    externalName: values['external-name'],
    clusterDomain: values['cluster-domain'],
    meshListen: values['mesh-listen'],
    probeListen: values['probe-listen'],
    adminListen: values['admin-listen'],
    bridgeListen: values['bridge-listen'],
    nats: {
      urls: values['nats-url'],
      creds: values['nats-creds'],
      nkey: values['nats-nkey'],
      user: values['nats-user'],
      tlsCa: values['nats-tls-ca'],
      tlsCert: values['nats-tls-cert'],
      tlsKey: values['nats-tls-key'],
      tokenKey: values['bridge-token-key-file'],
      open: values['bridge-open'],
    },
    workers: values.workers,
    accept: values.accept,
    trustForwardedFrom: values['trust-forwarded-from'],
    logLevel: values['log-level'],
    logFormat: values['log-format'] === 'auto' ? automaticFormat : values['log-format'],
    accessLog: values['access-log'],
    accessLogFields: values['access-log-fields'],
    otlpEndpoint: values['otlp-endpoint'],
    traceSample: values['trace-sample'],
    drainTimeoutMs: values['drain-timeout'],
    drainAcceptMs: values['drain-accept'],
    limits: {
      head: values['limit-head'],
      headers: values['limit-headers'],
      url: values['limit-url'],
      chunkExtension: values['limit-chunk-extension'],
      trailers: values['limit-trailers'],
      connections: values['limit-connections'],
      connectionsPerSource: values['limit-connections-per-source'],
      requestsPerConnection: values['limit-requests-per-connection'],
      connectionAgeMs: values['limit-connection-age'],
      upstreamConnections: values['limit-upstream-connections'],
      pending: values['limit-pending'],
      buffer: values['limit-buffer'],
      retryBody: values['limit-retry-body'],
      mirrors: values['limit-mirrors'],
      workerHeap: values['limit-worker-heap'],
      heap: values['limit-heap'],
      loopDelayMs: values['limit-loop-delay'],
    },
    timeouts: {
      headMs: values['timeout-head'],
      detectMs: values['timeout-detect'],
      requestMs: values['timeout-request'],
      idleMs: values['timeout-idle'],
      streamIdleMs: values['timeout-stream-idle'],
      connectMs: values['timeout-connect'],
      keepaliveMs: values['timeout-keepalive'],
      upstreamKeepaliveMs: values['timeout-upstream-keepalive'],
    },
  };
}

/** What help, flags and README need to know of one setting. */
export interface SettingDescription {
  readonly name: string;
  readonly variable: string;
  readonly means: string;
  /** The rest is for settings that work. */
  readonly works?: {
    readonly group: string;
    readonly placeholder: string;
    readonly allowed: string;
    readonly defaultShown: string;
  };
  /** What a setting that does not work yet comes with. */
  readonly later?: string;
}

export function describeSettings(): readonly SettingDescription[] {
  return Object.entries<Setting<unknown> | LaterSetting>(SETTINGS).map(([name, setting]) => {
    const variable = variableName(name);
    const { means } = setting;
    if ('later' in setting) return { name, variable, means, later: setting.later };
    const { group, kind } = setting;
    const defaultShown = setting.defaultShown ?? String(setting.default);
    return {
      name,
      variable,
      means,
      works: { group, placeholder: kind.placeholder, allowed: kind.allowed, defaultShown },
    };
  });
}
