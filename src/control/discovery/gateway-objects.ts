import type { Mismatch } from '../../model/problem.ts';
import type {
  CorsFilter,
  HeaderModifier,
  MirrorFilter,
  ObjectRef,
  ParentRef,
  PathModifier,
  RedirectFilter,
  ReferenceGrantResource,
  RouteFilter,
  RouteMatch,
  RouteResource,
  RouteRule,
  SessionPersistence,
  ValueMatch,
  WeightedRef,
} from '../../model/route-resource.ts';
import { Fields, trimmed, type UncheckedObject } from './fields.ts';
import type { Trimmed } from './objects.ts';

// Shapes and lengths are those of the definitions of Gateway API v1.6.1 (experimental channel). What a value means, such as an
// enumeration, a duration or a regular expression, is compile's to judge: a newer one has its price by the specification.

const ROUTE_MAX = { parentRefs: 32, hostnames: 16, rules: 16, matchesOfRule: 64, matches: 128 } as const;
/** Of filters, backends, headers, query parameters, and the entries of a ReferenceGrant. */
const LIST_MAX = 16;
const CORS_MAX = { origins: 64, methods: 9, headers: 64 } as const;
const CODES_MAX = 64;
const WORD_MAX = 63;
const NAME_MAX = 253;
const HEADER_NAME_MAX = 256;
const VALUE_MAX = 4096;
const SESSION_NAME_MAX = 128;

const PORTS = [1, 65_535] as const;
const PERCENT = [0, 100] as const;
const STATUSES = [100, 599] as const;
const RETRIED_STATUSES = [400, 599] as const;
const WEIGHTS = [0, 1_000_000] as const;
const COUNTS = [0, 2 ** 31 - 1] as const;
const COUNTS_FROM_1 = [1, 2 ** 31 - 1] as const;

/** Of filters whose type is obeyed, and of those whose type says that they are not. */
const FILTER_FIELDS = [
  'type',
  'requestHeaderModifier',
  'responseHeaderModifier',
  'requestMirror',
  'requestRedirect',
  'urlRewrite',
  'cors',
  'extensionRef',
  'externalAuth',
];

const GATEWAY_GROUP = 'gateway.networking.k8s.io';

const NAME = `a name of at most ${NAME_MAX} characters`;
const GROUP = 'an API group (that without a name is empty)';
const KIND = 'a kind';
const NAMESPACE = 'a namespace';
const TYPE = 'a type';
const PATH = 'a path of at most 1024 characters';
const DURATION = 'a duration such as 5s or 250ms';
const HEADER_NAME = `the name of a header, of at most ${HEADER_NAME_MAX} characters`;
const HEADER_VALUE = `the value of a header, of at most ${VALUE_MAX} characters`;
const SESSION_NAME = `the name of a session, of at most ${SESSION_NAME_MAX} characters`;
const LIFETIME = 'Session or Permanent';
const HOSTNAME = `a host name of at most ${NAME_MAX} characters`;

/** Of an HTTPRoute (v1, v1beta1), what Heddle reads. A mismatch costs all of it, as it does where an API server checks. */
export function httpRouteOf(object: UncheckedObject): Trimmed<RouteResource> {
  return routeOf('HTTPRoute', object);
}

/** Of a GRPCRoute (v1), what Heddle reads. */
export function grpcRouteOf(object: UncheckedObject): Trimmed<RouteResource> {
  return routeOf('GRPCRoute', object);
}

/** Of a ReferenceGrant (v1, v1beta1), what Heddle reads. A field that is not known may be one that narrows what is granted. */
export function referenceGrantOf({ metadata, spec: value }: UncheckedObject): Trimmed<ReferenceGrantResource> {
  const mismatches: Mismatch[] = [];
  const spec = new Fields(value, 'spec', mismatches);
  spec.only(['from', 'to']);
  const from = spec.eachOfSome('from', LIST_MAX).map((entry) => {
    entry.only(['group', 'kind', 'namespace']);
    const [group, kind] = grantedKind(entry);
    return { group, kind, namespace: entry.requiredText('namespace', NAMESPACE, WORD_MAX) };
  });
  const to = spec.eachOfSome('to', LIST_MAX).map((entry) => {
    entry.only(['group', 'kind', 'name']);
    const [group, kind] = grantedKind(entry);
    return { group, kind, name: entry.text('name', NAME, NAME_MAX) };
  });
  return trimmed({ namespace: metadata.namespace ?? 'default', name: metadata.name, from, to }, mismatches, []);
}

function grantedKind(entry: Fields): readonly [group: string, kind: string] {
  if (!entry.has('group')) entry.mismatch('group', GROUP, undefined);
  return [entry.text('group', GROUP, NAME_MAX), entry.requiredText('kind', KIND, WORD_MAX)];
}

/** When the API server made an object; empty where it did not say so. Its form lets texts be compared. */
export function createdOf({ creationTimestamp }: UncheckedObject['metadata']): string {
  const isTime = typeof creationTimestamp === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(creationTimestamp);
  return isTime ? creationTimestamp : '';
}

function routeOf(kind: RouteResource['kind'], { metadata, spec: value }: UncheckedObject): Trimmed<RouteResource> {
  const mismatches: Mismatch[] = [];
  const told: Mismatch[] = [];
  const namespace = metadata.namespace ?? 'default';
  const { generation } = metadata;
  const spec = new Fields(value, 'spec', mismatches, told);
  if (value === undefined || value === null) spec.wrong('an object', 'nothing');
  spec.known(['parentRefs', 'hostnames', 'rules', 'useDefaultGateways']);
  const resource: RouteResource = {
    kind,
    namespace,
    name: metadata.name,
    created: createdOf(metadata),
    generation: Number.isSafeInteger(generation) ? (generation as number) : 0,
    parentRefs: spec.each('parentRefs', ROUTE_MAX.parentRefs).map((ref) => parentRefOf(ref, namespace)),
    hostnames: spec.texts('hostnames', ROUTE_MAX.hostnames, HOSTNAME, NAME_MAX),
    rules: rulesOf(kind, spec).map((rule) => ruleOf(kind, rule, namespace)),
  };
  const matches = resource.rules.reduce((sum, rule) => sum + rule.matches.length, 0);
  if (matches > ROUTE_MAX.matches)
    spec.mismatch('rules', `at most ${ROUTE_MAX.matches} matches in all rules together`, matches);
  // Without fields that are undefined: so it comes out of the snapshot file too, and what is equal stays the same object.
  return trimmed(JSON.parse(JSON.stringify(resource)) as RouteResource, mismatches, told);
}

/** An HTTPRoute has one rule that matches everything where it names none, as its definition says. */
function rulesOf(kind: RouteResource['kind'], spec: Fields): readonly Fields[] {
  if (kind === 'GRPCRoute') return spec.each('rules', ROUTE_MAX.rules);
  return spec.has('rules') ? spec.eachOfSome('rules', ROUTE_MAX.rules) : [new Fields({}, 'spec.rules[0]', [])];
}

/** A field that is not known may be one that narrows what is meant. */
function parentRefOf(ref: Fields, namespace: string): ParentRef {
  ref.only(['group', 'kind', 'namespace', 'name', 'port', 'sectionName']);
  return {
    group: ref.optionalText('group', GROUP, NAME_MAX) ?? GATEWAY_GROUP,
    kind: ref.optionalText('kind', KIND, WORD_MAX) ?? 'Gateway',
    namespace: ref.optionalText('namespace', NAMESPACE, WORD_MAX) ?? namespace,
    name: ref.requiredText('name', NAME, NAME_MAX),
    port: ref.integer('port', PORTS, 0),
    sectionName: ref.text('sectionName', 'the name of a port', NAME_MAX),
  };
}

function ruleOf(kind: RouteResource['kind'], rule: Fields, namespace: string): RouteRule {
  rule.known(['name', 'matches', 'filters', 'backendRefs', 'timeouts', 'retry', 'sessionPersistence']);
  const timeouts = rule.fields('timeouts');
  timeouts.known(['request', 'backendRequest']);
  const matchOf = kind === 'HTTPRoute' ? httpMatchOf : grpcMatchOf;
  return {
    name: rule.text('name', NAME, NAME_MAX),
    matches: rule.each('matches', ROUTE_MAX.matchesOfRule).map(matchOf),
    filters: filtersOf(rule, namespace),
    backendRefs: rule.each('backendRefs', LIST_MAX).map((ref) => weightedRefOf(ref, namespace)),
    timeouts: {
      request: timeouts.text('request', DURATION, WORD_MAX),
      backendRequest: timeouts.text('backendRequest', DURATION, WORD_MAX),
    },
    retry: rule.optional('retry', retryOf),
    sessionPersistence: rule.optional('sessionPersistence', sessionPersistenceOf),
  };
}

/** Without a field that is not known, this and the parts of a match would fit more than is meant. */
function httpMatchOf(match: Fields): RouteMatch {
  match.only(['path', 'method', 'headers', 'queryParams']);
  return {
    path: match.optional('path', (path) => {
      path.only(['type', 'value']);
      return {
        type: path.optionalText('type', TYPE, WORD_MAX) ?? 'PathPrefix',
        value: path.optionalText('value', PATH) ?? '/',
      };
    }),
    method: match.text('method', 'a method', WORD_MAX),
    headers: match.each('headers', LIST_MAX).map(headerMatchOf),
    queryParams: match.each('queryParams', LIST_MAX).map((param) => {
      const name = `the name of a query parameter, of at most ${HEADER_NAME_MAX} characters`;
      return valueMatchOf(param, name, ['the value of a query parameter, of at most 1024 characters', 1024]);
    }),
  };
}

function grpcMatchOf(match: Fields): RouteMatch {
  match.only(['method', 'headers']);
  return {
    method: '',
    headers: match.each('headers', LIST_MAX).map(headerMatchOf),
    queryParams: [],
    grpc: match.optional('method', (method) => {
      method.only(['type', 'service', 'method']);
      return {
        type: method.optionalText('type', TYPE, WORD_MAX) ?? 'Exact',
        service: method.text('service', 'a service of at most 1024 characters'),
        method: method.text('method', 'a method of at most 1024 characters'),
      };
    }),
  };
}

function headerMatchOf(header: Fields): ValueMatch {
  return valueMatchOf(header, HEADER_NAME, [HEADER_VALUE, VALUE_MAX]);
}

function valueMatchOf(match: Fields, name: string, [value, max]: readonly [string, number]): ValueMatch {
  match.only(['type', 'name', 'value']);
  return {
    type: match.optionalText('type', TYPE, WORD_MAX) ?? 'Exact',
    name: match.requiredText('name', name, HEADER_NAME_MAX),
    value: match.requiredText('value', value, max),
  };
}

function filtersOf(fields: Fields, namespace: string): readonly RouteFilter[] {
  return fields.each('filters', LIST_MAX).map((filter) => {
    filter.known(FILTER_FIELDS);
    return {
      type: filter.requiredText('type', TYPE, NAME_MAX),
      requestHeaderModifier: filter.optional('requestHeaderModifier', headerModifierOf),
      responseHeaderModifier: filter.optional('responseHeaderModifier', headerModifierOf),
      requestMirror: filter.optional('requestMirror', (mirror) => mirrorOf(mirror, namespace)),
      requestRedirect: filter.optional('requestRedirect', redirectOf),
      urlRewrite: filter.optional('urlRewrite', (rewrite) => {
        rewrite.known(['hostname', 'path']);
        return {
          hostname: rewrite.text('hostname', HOSTNAME, NAME_MAX),
          path: rewrite.optional('path', pathModifierOf),
        };
      }),
      cors: filter.optional('cors', corsOf),
    };
  });
}

function headerModifierOf(modifier: Fields): HeaderModifier {
  modifier.known(['set', 'add', 'remove']);
  const lines = (list: string) =>
    modifier.each(list, LIST_MAX).map((line) => {
      line.known(['name', 'value']);
      return {
        name: line.requiredText('name', HEADER_NAME, HEADER_NAME_MAX),
        value: line.requiredText('value', HEADER_VALUE, VALUE_MAX),
      };
    });
  return {
    set: lines('set'),
    add: lines('add'),
    remove: modifier.texts('remove', LIST_MAX, HEADER_NAME, HEADER_NAME_MAX),
  };
}

function mirrorOf(mirror: Fields, namespace: string): MirrorFilter {
  mirror.known(['backendRef', 'percent', 'fraction']);
  const backendRef = mirror.fields('backendRef');
  backendRef.known(['group', 'kind', 'namespace', 'name', 'port']);
  return {
    backendRef: objectRefOf(backendRef, namespace),
    percent: mirror.integer('percent', PERCENT, undefined),
    fraction: mirror.optional('fraction', (fraction) => {
      fraction.known(['numerator', 'denominator']);
      if (!fraction.has('numerator')) fraction.mismatch('numerator', 'a whole number', undefined);
      return {
        numerator: fraction.integer('numerator', COUNTS, 0),
        denominator: fraction.integer('denominator', COUNTS_FROM_1, 100),
      };
    }),
  };
}

function redirectOf(redirect: Fields): RedirectFilter {
  redirect.known(['scheme', 'hostname', 'path', 'port', 'statusCode']);
  return {
    scheme: redirect.text('scheme', 'http or https', WORD_MAX),
    hostname: redirect.text('hostname', HOSTNAME, NAME_MAX),
    path: redirect.optional('path', pathModifierOf),
    port: redirect.integer('port', PORTS, 0),
    statusCode: redirect.integer('statusCode', STATUSES, 302),
  };
}

function pathModifierOf(path: Fields): PathModifier {
  path.known(['type', 'replaceFullPath', 'replacePrefixMatch']);
  return {
    type: path.requiredText('type', TYPE, WORD_MAX),
    replaceFullPath: path.optionalText('replaceFullPath', PATH),
    replacePrefixMatch: path.optionalText('replacePrefixMatch', PATH),
  };
}

function corsOf(cors: Fields): CorsFilter {
  cors.known(['allowOrigins', 'allowMethods', 'allowHeaders', 'exposeHeaders', 'allowCredentials', 'maxAge']);
  return {
    allowOrigins: cors.texts('allowOrigins', CORS_MAX.origins, 'an origin such as https://shop.example', NAME_MAX),
    allowMethods: cors.texts('allowMethods', CORS_MAX.methods, 'a method', WORD_MAX),
    allowHeaders: cors.texts('allowHeaders', CORS_MAX.headers, HEADER_NAME, HEADER_NAME_MAX),
    exposeHeaders: cors.texts('exposeHeaders', CORS_MAX.headers, HEADER_NAME, HEADER_NAME_MAX),
    allowCredentials: cors.flag('allowCredentials'),
    maxAge: cors.integer('maxAge', COUNTS_FROM_1, 5),
  };
}

function objectRefOf(ref: Fields, namespace: string): ObjectRef {
  return {
    group: ref.text('group', GROUP, NAME_MAX),
    kind: ref.optionalText('kind', KIND, WORD_MAX) ?? 'Service',
    namespace: ref.optionalText('namespace', NAMESPACE, WORD_MAX) ?? namespace,
    name: ref.requiredText('name', NAME, NAME_MAX),
    port: ref.integer('port', PORTS, 0),
  };
}

function weightedRefOf(ref: Fields, namespace: string): WeightedRef {
  ref.known(['group', 'kind', 'namespace', 'name', 'port', 'weight', 'filters']);
  return {
    ...objectRefOf(ref, namespace),
    weight: ref.integer('weight', WEIGHTS, 1),
    filters: filtersOf(ref, namespace),
  };
}

function retryOf(retry: Fields): NonNullable<RouteRule['retry']> {
  retry.known(['codes', 'attempts', 'backoff']);
  return {
    attempts: retry.integer('attempts', COUNTS_FROM_1, undefined),
    codes: retry.integers('codes', CODES_MAX, RETRIED_STATUSES),
    backoff: retry.text('backoff', DURATION, WORD_MAX),
  };
}

/** v1.6.1 has `sessionName` and `cookieConfig`; after it came `cookie` and `header`, which have the names (GEP-1619). */
function sessionPersistenceOf(session: Fields): SessionPersistence {
  session.known(['type', 'sessionName', 'absoluteTimeout', 'cookieConfig', 'cookie', 'header'], ['idleTimeout']);
  const config = session.fields('cookieConfig');
  config.known(['lifetimeType']);
  const cookie = session.fields('cookie');
  cookie.known(['name', 'path', 'lifetimeType']);
  const header = session.fields('header');
  header.known(['name']);
  const type = session.optionalText('type', TYPE, WORD_MAX) ?? 'Cookie';
  const cookieName = cookie.text('name', SESSION_NAME, SESSION_NAME_MAX);
  const headerName = header.text('name', SESSION_NAME, SESSION_NAME_MAX);
  const sessionName = session.text('sessionName', SESSION_NAME, SESSION_NAME_MAX);
  return {
    type,
    name: (type === 'Header' ? headerName : cookieName) || sessionName,
    absoluteTimeout: session.text('absoluteTimeout', DURATION, WORD_MAX),
    lifetimeType:
      cookie.optionalText('lifetimeType', LIFETIME, WORD_MAX) ??
      config.optionalText('lifetimeType', LIFETIME, WORD_MAX) ??
      'Session',
    path: cookie.text('path', PATH),
  };
}
