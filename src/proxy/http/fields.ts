/**
 * Field names that the proxy has to know, and what becomes of them. A name is found by a hash that the parser computes
 * while it checks the characters, so that unknown names cost one table look-up. Kinds are bits of sets: at most 31. Those whose
 * values say something about a message stand from `connection` to `expect` (http/meaning.ts).
 */
export const FIELD = {
  other: 0,
  connection: 1,
  keepAlive: 2,
  proxyConnection: 3,
  te: 4,
  transferEncoding: 5,
  upgrade: 6,
  contentLength: 7,
  host: 8,
  expect: 9,
  via: 10,
  http2Settings: 11,
  proxyAuthorization: 12,
  forwarded: 13,
  xForwardedFor: 14,
  xForwardedProto: 15,
  xForwardedHost: 16,
  /** Any further `x-forwarded-…`, `x-forwarded-client-cert` among them. */
  xForwardedOther: 17,
  xRequestId: 18,
  heddleService: 19,
  /** `x-heddle-timeout-ms` of a caller, which can only shorten; we write our own. */
  heddleTimeout: 20,
  /** Fields with which a mesh speaks to itself (`x-heddle-…`, `l5d-…`): never believed from outside. */
  meshOnly: 21,
  /** A name with an underscore: CGI and WSGI cannot tell it from the one with a hyphen. */
  underscore: 22,
  contentType: 23,
  /** Never sensible behind a body: they frame, route, authenticate or steer a message (RFC 9110 section 6.5.1). */
  notInTrailers: 24,
  traceparent: 25,
  tracestate: 26,
  heddleFault: 27,
  heddleExplain: 28,
  /** `x-heddle-attempt` of a caller, which can only forbid; we write our own. */
  heddleAttempt: 29,
  retryAfter: 30,
} as const;

const NAMES: Readonly<Record<string, number>> = {
  'connection': FIELD.connection,
  'keep-alive': FIELD.keepAlive,
  'proxy-connection': FIELD.proxyConnection,
  'te': FIELD.te,
  'transfer-encoding': FIELD.transferEncoding,
  'upgrade': FIELD.upgrade,
  'content-length': FIELD.contentLength,
  'host': FIELD.host,
  'expect': FIELD.expect,
  'via': FIELD.via,
  'http2-settings': FIELD.http2Settings,
  'proxy-authorization': FIELD.proxyAuthorization,
  'forwarded': FIELD.forwarded,
  'x-forwarded-for': FIELD.xForwardedFor,
  'x-forwarded-proto': FIELD.xForwardedProto,
  'x-forwarded-host': FIELD.xForwardedHost,
  'x-request-id': FIELD.xRequestId,
  'x-heddle-service': FIELD.heddleService,
  'x-heddle-explain': FIELD.heddleExplain,
  'x-heddle-fault': FIELD.heddleFault,
  'x-heddle-attempt': FIELD.heddleAttempt,
  'x-heddle-timeout-ms': FIELD.heddleTimeout,
  'retry-after': FIELD.retryAfter,
  'content-type': FIELD.contentType,
  'traceparent': FIELD.traceparent,
  'tracestate': FIELD.tracestate,
  ...Object.fromEntries(
    [
      'age',
      'authorization',
      'cache-control',
      'content-encoding',
      'content-range',
      'cookie',
      'date',
      'expires',
      'if-match',
      'if-modified-since',
      'if-none-match',
      'if-range',
      'if-unmodified-since',
      'location',
      'max-forwards',
      'pragma',
      'proxy-authenticate',
      'range',
      'set-cookie',
      'trailer',
      'vary',
      'www-authenticate',
    ].map((name) => [name, FIELD.notInTrailers]),
  ),
};
const FAMILIES: readonly (readonly [prefix: string, kind: number])[] = [
  ['x-forwarded-', FIELD.xForwardedOther],
  ['x-heddle-', FIELD.meshOnly],
  ['l5d-', FIELD.meshOnly],
];

/** RFC 9110 section 5.6.2 `tchar`, as its lower-case form; 0 is not a token character. */
export const TOKEN = new Uint8Array(256);
/** RFC 9110 section 5.5 field content: VCHAR, obs-text, SP and HTAB. */
export const VALUE = new Uint8Array(256);
/**
 * Octets of a request target: visible ASCII but `#`, because a fragment never goes to a server (RFC 9112 section 3.2). Anything
 * else has to be percent-encoded (RFC 3986 section 2).
 */
export const TARGET = new Uint8Array(256);
for (const char of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
  TOKEN[char.charCodeAt(0)] = char.toLowerCase().charCodeAt(0);
}
for (let octet = 0x20; octet < 0x100; octet++) VALUE[octet] = octet === 0x7f ? 0 : 1;
VALUE[0x09] = 1;
for (let octet = 0x21; octet < 0x7f; octet++) TARGET[octet] = octet === 0x23 ? 0 : 1;

const TABLE_SIZE = 512;
const tableNames: (Buffer | undefined)[] = Array.from({ length: TABLE_SIZE }, () => undefined);
const tableKinds = new Uint8Array(TABLE_SIZE);

/** The hash of a name grows by one lower-case octet. */
export function hashStep(hash: number, octet: number): number {
  return (Math.imul(hash, 31) + octet) | 0;
}

for (const [name, kind] of Object.entries(NAMES)) {
  const bytes = Buffer.from(name, 'latin1');
  let at = bytes.reduce(hashStep, 0) & (TABLE_SIZE - 1);
  while (tableNames[at] !== undefined) at = (at + 1) & (TABLE_SIZE - 1);
  tableNames[at] = bytes;
  tableKinds[at] = kind;
}

const FAMILY_BYTES = FAMILIES.map(([prefix, kind]) => ({ bytes: Buffer.from(prefix, 'latin1'), kind }));
const UNDERSCORE = 95;
const LOWER_X = 120;
const LOWER_L = 108;

/** Is `bytes[start, end)` the given lower-case text, in any case? */
export function equalsIgnoringCase(bytes: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  return end - start === lower.length && startsIgnoringCase(bytes, start, lower);
}

/** Are so many bytes from `start` on the given lower-case ones from `from` on, in any case? */
export function sameIgnoringCase(
  bytes: Uint8Array,
  start: number,
  lower: Uint8Array,
  from: number,
  length: number,
): boolean {
  for (let index = 0; index < length; index++) {
    const octet = bytes[start + index]!;
    if ((octet >= 65 && octet <= 90 ? octet | 0x20 : octet) !== lower[from + index]) return false;
  }
  return true;
}

/** Do the bytes from `start` on begin with the given lower-case text, in any case? */
export function startsIgnoringCase(bytes: Uint8Array, start: number, lower: Uint8Array): boolean {
  return sameIgnoringCase(bytes, start, lower, 0, lower.length);
}

/** The kind of a name that consists of token characters; `hash` over its lower-case octets. */
export function fieldKind(bytes: Uint8Array, start: number, end: number, hash: number): number {
  for (let at = hash & (TABLE_SIZE - 1); ; at = (at + 1) & (TABLE_SIZE - 1)) {
    const name = tableNames[at];
    if (name === undefined) break;
    if (equalsIgnoringCase(bytes, start, end, name)) return tableKinds[at]!;
  }
  for (let at = start; at < end; at++) if (bytes[at] === UNDERSCORE) return FIELD.underscore;
  const first = bytes[start]! | 0x20;
  if (first === LOWER_X || first === LOWER_L) {
    for (const { bytes: prefix, kind } of FAMILY_BYTES) {
      if (end - start > prefix.length && startsIgnoringCase(bytes, start, prefix)) return kind;
    }
  }
  return FIELD.other;
}

/** A set of kinds, as bits. */
export function kinds(...list: readonly number[]): number {
  return list.reduce((set, kind) => set | (1 << kind), 0);
}

/** RFC 9110 section 7.6.1, and those that only the hop to us concerned. The codec writes its own in their place. */
const HOP_BY_HOP = [
  FIELD.connection,
  FIELD.keepAlive,
  FIELD.proxyConnection,
  FIELD.te,
  FIELD.transferEncoding,
  FIELD.upgrade,
  FIELD.http2Settings,
] as const;
const CLIENT_CLAIMS = [
  FIELD.forwarded,
  FIELD.xForwardedFor,
  FIELD.xForwardedProto,
  FIELD.xForwardedHost,
  FIELD.xForwardedOther,
] as const;

/** Fields of a request that do not go on, by kind. */
export const DROP_FROM_REQUEST = kinds(
  ...HOP_BY_HOP,
  FIELD.proxyAuthorization,
  FIELD.meshOnly,
  FIELD.heddleTimeout,
  FIELD.heddleAttempt,
  FIELD.underscore,
  ...CLIENT_CLAIMS,
);
/** The same for a source whose `x-forwarded-*` are believed; x-forwarded-for is joined with the source's own address. */
export const DROP_FROM_TRUSTED_REQUEST = kinds(
  ...HOP_BY_HOP,
  FIELD.proxyAuthorization,
  FIELD.meshOnly,
  FIELD.heddleTimeout,
  FIELD.heddleAttempt,
  FIELD.underscore,
  FIELD.xForwardedFor,
);
export const DROP_FROM_REPLY = kinds(...HOP_BY_HOP);
/** Fields that rules do not look at: the mesh does not believe them, and endpoints do not get them. */
export const UNBELIEVED = kinds(FIELD.meshOnly, ...CLIENT_CLAIMS);
/** The same for a source whose `x-forwarded-*` are believed. */
export const UNBELIEVED_OF_TRUSTED = kinds(FIELD.meshOnly);
/** Trailers are a weaker place: nothing that frames, routes, authenticates or speaks for the mesh passes there. */
export const DROP_FROM_TRAILERS = kinds(
  ...HOP_BY_HOP,
  ...CLIENT_CLAIMS,
  FIELD.contentLength,
  FIELD.host,
  FIELD.expect,
  FIELD.via,
  FIELD.proxyAuthorization,
  FIELD.xRequestId,
  FIELD.heddleService,
  FIELD.heddleTimeout,
  FIELD.heddleAttempt,
  FIELD.retryAfter,
  FIELD.heddleFault,
  FIELD.heddleExplain,
  FIELD.meshOnly,
  FIELD.underscore,
  FIELD.contentType,
  FIELD.notInTrailers,
  FIELD.traceparent,
  FIELD.tracestate,
);
/** Kinds that a Connection field cannot take out of a message: framing and routing survive. */
export const NOT_NOMINABLE = kinds(FIELD.contentLength, FIELD.transferEncoding, FIELD.host);
