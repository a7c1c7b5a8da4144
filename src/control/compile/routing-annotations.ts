import { parseDuration } from '../../lib/duration.ts';
import { parsePercent } from '../../lib/percent.ts';
import { shown } from '../../lib/shown.ts';
import { ANNOTATION_PREFIX } from '../../model/resource.ts';
import {
  type HeaderEdits,
  type Match,
  type PathEdit,
  type Redirect,
  ROUTING_LIMITS as LIMITS,
  type SessionPolicy,
} from '../../model/routing.ts';
import type { Key } from './annotation-keys.ts';
import { type AnnotationReading, COUNTS_AS_ABSENT, type Found, type Read } from './annotation-reading.ts';
import { editsOf, headerRefusal, type HeaderWish, isFieldName } from './header-rules.ts';
import { MATCH_FORM, readMatch } from './match-conditions.ts';
import { hostRefusal, pathRefusal, withoutSlash } from './path-rules.ts';

/** A Service as an annotation names it: `name`, `name:port`, `namespace/name`, `namespace/name:port`. */
export interface NamedService {
  readonly namespace: string;
  readonly name: string;
  /** 0: none is named. */
  readonly port: number;
}

/** The rules that the owner of a Service wishes for by annotations, read and not yet resolved. */
export interface RoutingWishes {
  /** Empty: all to the Service itself. */
  readonly split: readonly { readonly service: NamedService; readonly weight: number }[];
  /** The first that fits, before `split`. */
  readonly matches: readonly { readonly service: NamedService; readonly match: Match }[];
  readonly mirrors: readonly { readonly service: NamedService; readonly share: number }[];
  /** In place of Host; empty: it stays. */
  readonly host: string;
  readonly path: PathEdit | undefined;
  readonly redirect: Redirect | undefined;
  readonly request: HeaderEdits | undefined;
  readonly response: HeaderEdits | undefined;
  /** The annotations that say so. At least one. */
  readonly written: readonly (Found & { readonly name: RoutingKey })[];
}

const ROUTING_KEYS = [
  'split',
  'match',
  'mirror',
  'redirect',
  'rewrite',
  'headers-request',
  'headers-response',
] as const satisfies readonly Key[];
type RoutingKey = (typeof ROUTING_KEYS)[number];

/** Namespace (RFC 1123 label), name (RFC 1035 label) and port. */
const SERVICE =
  /^(?:([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\/)?([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)(?::([1-9]\d{0,4}))?$/;
const SERVICE_FORM = 'a Service as NAME, NAME:PORT, NAMESPACE/NAME or NAMESPACE/NAME:PORT';
const SPLIT_FORM = `${SERVICE_FORM}, and =WEIGHT, a whole number from 0 to ${LIMITS.weight}`;
const MIRROR_FORM = `${SERVICE_FORM}, and =PERCENT from 0% to 100%`;
const WEIGHT = /^\d{1,7}$/;
const REDIRECT_FORM =
  '301, 302, 303, 307 or 308, and scheme://host:port/path, of which parts may be left out (308 https://, 301 //:8443, 302 /new)';
const REDIRECT = /^(30[12378])\s+(?:(?:(https?):)?\/\/([^/:?#]*)(?::([1-9]\d{0,4}))?)?(\/(?!\/)[^?#]*)?$/;
const REWRITE_FORM = 'path /new, prefix /old=/new or host NAME';
const HEADERS_FORM = 'set NAME=VALUE, add NAME=VALUE or remove NAME (values have no commas)';
const STICKY_FORM = 'cookie:NAME, cookie:NAME;ttl=DURATION (of a second or more) or header:NAME';
const STICKY = /^(cookie|header):([^;=\s]+)(?:;\s*ttl=(\S+))?$/;

/** Undefined: the Service has no such annotation, or none that can be obeyed. */
export function readRouting(reading: AnnotationReading): RoutingWishes | undefined {
  const redirect = reading.one('redirect', REDIRECT_FORM, readRedirect);
  const response = reading.all('headers-response', HEADERS_FORM, readHeaderWish);
  const others = redirect === undefined ? readOthers(reading) : refuseOthers(reading);
  const read: Readonly<Partial<Record<RoutingKey, unknown>>> = { ...others, redirect, 'headers-response': response };
  const written = ROUTING_KEYS.flatMap((name) => (read[name] === undefined ? [] : [{ name, ...reading.find(name)! }]));
  if (written.length === 0) return undefined;
  return {
    split: others.split ?? [],
    matches: others.match ?? [],
    mirrors: others.mirror ?? [],
    host: others.rewrite?.host ?? '',
    path: others.rewrite?.path,
    redirect,
    request: others['headers-request'] && editsOf(others['headers-request']),
    response: response && editsOf(response),
    written,
  };
}

/** What a request that goes on needs. */
interface Others {
  readonly 'split'?: RoutingWishes['split'] | undefined;
  readonly 'match'?: RoutingWishes['matches'] | undefined;
  readonly 'mirror'?: RoutingWishes['mirrors'] | undefined;
  readonly 'rewrite'?: Pick<RoutingWishes, 'host' | 'path'> | undefined;
  readonly 'headers-request'?: readonly HeaderWish[] | undefined;
}

function readOthers(reading: AnnotationReading): Required<Others> {
  const { namespace } = reading.service;
  return {
    'rewrite': reading.one('rewrite', REWRITE_FORM, readRewrite),
    'split': readSplit(reading, namespace),
    'match': readMatches(reading, namespace),
    'mirror': reading.all('mirror', MIRROR_FORM, (item) => readMirror(item, namespace), LIMITS.mirrors),
    'headers-request': reading.all('headers-request', HEADERS_FORM, readHeaderWish),
  };
}

/** They count as absent. */
function refuseOthers(reading: AnnotationReading): Others {
  for (const name of ['split', 'match', 'mirror', 'rewrite', 'headers-request'] as const) {
    const found = reading.find(name);
    const expected = `no such key beside ${ANNOTATION_PREFIX}redirect, which answers every request`;
    if (found !== undefined) reading.mismatch(found.key, { expected, got: shown(found.value) });
  }
  return {};
}

/** What keeps the requests of one client together; undefined: nothing does. */
export function readSession(reading: AnnotationReading): SessionPolicy | undefined {
  return reading.one('sticky', STICKY_FORM, readSticky);
}

function readSplit(reading: AnnotationReading, namespace: string): RoutingWishes['split'] | undefined {
  const split = reading.all(
    'split',
    SPLIT_FORM,
    (item) => {
      const [text, digits] = halves(item, item.lastIndexOf('='));
      const service = readService(text, namespace);
      const weight = WEIGHT.test(digits) ? Number(digits) : Number.NaN;
      return service !== undefined && weight <= LIMITS.weight ? { value: { service, weight } } : { got: shown(item) };
    },
    LIMITS.targets,
  );
  if (split === undefined || split.some(({ weight }) => weight > 0)) return split;
  const { key, value } = reading.find('split')!;
  reading.mismatch(key, { expected: `at least one weight above 0${COUNTS_AS_ABSENT}`, got: shown(value) });
  return undefined;
}

function readMatches(reading: AnnotationReading, namespace: string): RoutingWishes['matches'] | undefined {
  return reading.all('match', MATCH_FORM, (item) => {
    const [, text = '', conditions = ''] = /^(\S+)\s+if\s+(.+)$/.exec(item) ?? [];
    const service = readService(text, namespace);
    if (service === undefined) return { got: shown(item) };
    const read = readMatch(conditions);
    return 'value' in read ? { value: { service, match: read.value } } : read;
  });
}

function readMirror(item: string, namespace: string): Read<RoutingWishes['mirrors'][number]> {
  const [text, percent] = halves(item, item.lastIndexOf('='));
  const service = readService(text, namespace);
  const share = parsePercent(percent);
  return service === undefined || share === undefined ? { got: shown(item) } : { value: { service, share } };
}

function readService(text: string, ownNamespace: string): NamedService | undefined {
  const [, namespace = ownNamespace, name, digits = '0'] = SERVICE.exec(text) ?? [];
  const port = Number(digits);
  return name === undefined || port > 65535 ? undefined : { namespace, name, port };
}

function readRedirect(text: string): Read<Redirect> {
  const [, status, scheme = '', host = '', port = '0', path = ''] = REDIRECT.exec(text) ?? [];
  const isEmpty = scheme === '' && host === '' && port === '0' && path === '';
  if (status === undefined || isEmpty || Number(port) > 65535) return { got: shown(text) };
  const refused = (host === '' ? undefined : hostRefusal(host)) ?? (path === '' ? undefined : pathRefusal(path));
  if (refused !== undefined) return refused;
  return {
    value: {
      status: Number(status) as Redirect['status'],
      scheme: scheme as Redirect['scheme'],
      host,
      port: Number(port),
      path: path === '' ? undefined : { replace: 'path', prefix: undefined, by: path },
    },
  };
}

function readRewrite(text: string): Read<Pick<RoutingWishes, 'host' | 'path'>> {
  const [, does = '', what = ''] = /^(path|prefix|host)\s+(\S+)$/.exec(text) ?? [];
  switch (does) {
    case 'host':
      return hostRefusal(what) ?? { value: { host: what, path: undefined } };
    case 'path':
      return pathRefusal(what) ?? { value: { host: '', path: { replace: 'path', prefix: undefined, by: what } } };
    case 'prefix': {
      // A path may have = too: it ends where the other one begins.
      const [old, by] = halves(what, what.indexOf('=/'));
      if (old === '') return { got: shown(text) };
      const refused = pathRefusal(old) ?? pathRefusal(by);
      return refused ?? { value: { host: '', path: { replace: 'prefix', prefix: withoutSlash(old), by } } };
    }
    default:
      return { got: shown(text) };
  }
}

function readHeaderWish(item: string): Read<HeaderWish> {
  const [, does, rest = ''] = /^(set|add|remove)\s+(.+)$/.exec(item) ?? [];
  if (does === undefined) return { got: shown(item) };
  const equals = rest.indexOf('=');
  if ((does === 'remove') !== equals < 0) return { got: shown(item) };
  const [name, value] = does === 'remove' ? [rest, ''] : halves(rest, equals);
  const wish = { does: does as HeaderWish['does'], name, value };
  return headerRefusal(wish) ?? { value: wish };
}

function readSticky(text: string): Read<SessionPolicy> {
  const [, by, name = '', ttl] = STICKY.exec(text) ?? [];
  if (by === 'header') {
    const refused = headerRefusal({ does: 'set', name, value: '' });
    if (refused !== undefined) return refused;
    if (ttl !== undefined) return { got: shown(text) };
    return { value: { by, name: name.toLowerCase(), path: '', lifetimeS: undefined, permanent: false } };
  }
  const ttlMs = ttl === undefined ? undefined : parseDuration(ttl);
  const isGood = by === 'cookie' && isFieldName(name) && (ttl === undefined || (ttlMs ?? 0) >= 1000);
  if (!isGood) return { got: shown(text) };
  const lifetimeS = ttlMs === undefined ? undefined : Math.floor(ttlMs / 1000);
  return { value: { by: 'cookie', name, path: '/', lifetimeS, permanent: lifetimeS !== undefined } };
}

/** What stands before and behind a separator of one character, which is missing where `at` is -1. */
function halves(text: string, at: number): readonly [string, string] {
  return at < 0 ? [text, ''] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}
