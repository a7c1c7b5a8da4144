import type { Dice } from '../fuzz/dice.ts';

// What somebody sends who wants more than his policy gives him. Each text is a whole request of one byte a character.

/** Names by which something is reached that nobody granted: their first token, or the whole. */
const SUBJECTS: readonly string[] = [
  'secret.x',
  'demo.pub.denied',
  'demo.pub.a.b',
  'demo.pub',
  'demo.pub.*',
  'demo.>',
  '>',
  '*.pub.a',
  '$JS.API.STREAM.PURGE.SECRET',
  '$JS.API.STREAM.DELETE.DEMO',
  '$JS.ACK.DEMO.worker.1.1.1.1.1',
  '$KV.hidden.key',
  '$SYS.REQ.SERVER.PING',
  '$SRV.PING',
  '_INBOX.x',
  '_INBOX_heddle.n1.0.x',
  '_inbox.x',
  'demo.pub.a%20secret.reply',
  'demo.pub.a%0d%0aPUB%20secret.x%201%0d%0ax%0d%0aPUB%20demo.pub.a',
  'demo.pub.a%250d%250aPUB',
  'demo.pub.a%00',
  'demo.pub.%2e',
  'demo%2epub%2eden%69ed',
  'demo.pub%2esecret.x',
  'demo.pub.a%09b',
  'demo.pub.a%c0%ae',
  'demo.pub.%ff',
  'demo.pub.%E2%80%AE',
  'demo.pub.a%0b5',
  'demo.pub.a/../../v1/kv/hidden/key',
  'demo.pub.a%2f..%2f',
  'demo.pub..a',
  '.demo.pub.a',
  'demo.pub.a.',
  'DEMO.pub.a',
];

const HEADERS: readonly string[] = [
  'Nats-Schedule: @at 2026-01-01T00:00:00Z',
  'Nats-Schedule-Target: secret.x',
  'Nats-Schedule-TTL: 1s',
  'Nats-Schedule-Source: secret.x',
  'Nats-Rollup: all',
  'nats-rollup: sub',
  'NATS-ROLLUP: all',
  'Nats_Rollup: all',
  'Nats-Trace-Dest: secret.trace',
  'Nats-Trace-Only: true',
  'Accept-Encoding: gzip',
  'Nats-TTL: 1s',
  'Nats-Expected-Stream: SECRET',
  'Nats-Expected-Last-Sequence: 0',
  'Nats-Batch-Id: b',
  'Nats-Batch-Sequence: 1',
  'Nats-Batch-Commit: 1',
  'Nats-Incr: +1',
  'Nats-Marker-Reason: Purge',
  'Nats-Msg-Id: other/web:1',
  'KV-Operation: PURGE',
  'kv-operation: DEL',
  'heddle-source: shop/admin',
  'Heddle-Source: shop/admin',
  'heddle-hops: 0',
  'heddle-hops: 99',
  'heddle-attempt: 9',
  'x-heddle-timeout-ms: 1',
  'Status: 503',
  'Description: No Responders',
  'Reply-To: secret.x',
  'Connection: nats-msg-id, heddle-source',
  'Idempotency-Key: a:b',
  'Idempotency-Key: "a\\r\\nNats-Rollup: all"',
  'X-A: b\tc',
  'X-A: \xe9',
  'ce-specversion: 1.0',
  'ce-id: 1',
  'ce-source: /a',
  'ce-type: secret.x',
  'ce-subject: a%0d%0aNats-Rollup:%20all',
  'If-Match: "0"',
  'If-None-Match: *',
  'If-Match: "1\\r\\nNats-Rollup: all"',
  'Prefer: wait=0.001',
  'Last-Event-ID: 1:1',
  'Last-Event-ID: ../SECRET:1',
  'X-Forwarded-For: 10.0.0.1',
  'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
];

/** Those that are not even HTTP: whatever stands beside them is refused with them. */
const BROKEN_HEADERS: readonly string[] = [
  'X-A : b',
  'Nats-Rollup : all',
  ' Nats-Rollup: all',
  'X-A: b\rNats-Rollup: all',
  'X-A: b\nNats-Rollup: all',
  'X-A: b\x0bNats-Rollup: all',
];

const ACKS: readonly string[] = ['ack=stream', 'ack=server', 'ack=none', 'ack=%73tream'];
const PUBLISH_QUERIES: readonly string[] = [
  ...ACKS,
  'delay=1s',
  'delay=1s&ack=stream',
  'delay=-1s',
  'at=2099-01-01T00:00:00Z',
  'at=2099-01-01T00:00:00Z%0d%0aNats-Rollup:%20all',
];
const BULK_QUERIES: readonly string[] = [
  ...ACKS,
  'subject=demo.pub.{ce.type}',
  'subject=demo.pub.{ce.subject}',
  'subject=secret.{ce.type}',
  'subject={ce.type}',
  'subject=secret.x',
];
const REQUEST_QUERIES: readonly string[] = ['max=3&stall=1s', 'max=2', 'wait=1s', 'reply=secret.x'];
const LIVE_QUERIES: readonly string[] = [
  'subject=demo.sub.a',
  'subject=demo.sub.*',
  'subject=demo.sub.denied',
  'subject=demo.%3e',
  'subject=%3e',
  'subject=*.sub.a',
  'subject=demo.sub.a%20q%201%0d%0aSUB%20secret.x%202',
  'subject=secret.x',
  'subject=_INBOX.%3e',
  'subject=$JS.%3e',
];
const STREAM_QUERIES: readonly string[] = [
  'filter=%3e',
  'filter=secret.%3e',
  'filter=demo.pub.a',
  'filter=demo.pub.a%22,%22stream%22:%22SECRET',
  'from=first',
  'from=1',
  'from=last-per-subject',
  'from=2026-01-01T00:00:00Z',
  'last-event-id=1:1',
  'last-event-id=..:1',
];
const PULL_QUERIES: readonly string[] = ['batch=10&wait=1s', 'batch=1&wait=1s', 'batch=-1', 'batch=99999'];
const KEY_QUERIES: readonly string[] = ['revision=1', 'history', 'history=true', 'revision=-1', 'ttl=1s'];
const WATCH_QUERIES: readonly string[] = ['watch=%3e', 'watch=a.*', 'watch=..%2fhidden', 'watch=a%20b'];
/** Of no route. */
const STRAY_QUERIES: readonly string[] = ['__proto__=1', 'constructor=1', 'ack=none&ack=stream', '%00=1', 'subject'];

const NAMES: readonly string[] = [
  'DEMO',
  'SECRET',
  'KV_hidden',
  'KV_open',
  'DEMO.>',
  '*',
  'DEMO%2eworker',
  'DEMO%20SECRET',
  'DEMO%0d%0aPUB%20secret.x%200%0d%0a',
  '..%2fSECRET',
  'demo',
  'DEMO%00',
];
const CONSUMERS: readonly string[] = ['worker', 'other', 'heddle-shop-mail-1', '*', '>', 'worker.x', 'worker%0d%0a'];
const BUCKETS: readonly string[] = [
  'open',
  'hidden',
  'heddle-attempts',
  '*',
  'open.x',
  'open%2ehidden',
  'KV_hidden',
  'open%20',
];
const KEYS: readonly string[] = [
  'a',
  'a.b',
  '>',
  'a.*',
  '%3e',
  '_kv.x',
  'a%20b',
  'a%0d%0aPUB%20secret.x%200',
  'a%2fb',
  '../hidden/a',
  '$JS',
];

const RECORDS: readonly string[] = [
  '{"subject":"demo.pub.a","data":"x"}',
  '{"subject":"secret.x","data":"x"}',
  '{"subject":"demo.pub.denied","json":{}}',
  '{"subject":"demo.pub.a","headers":{"Nats-Rollup":"all"}}',
  '{"subject":"demo.pub.a","headers":{"nats-schedule-target":"secret.x","Nats-Schedule":"@at 2026-01-01T00:00:00Z"}}',
  '{"subject":"demo.pub.a","headers":{"A":"b\\r\\nNats-Rollup: all"}}',
  '{"subject":"demo.pub.a","headers":{"A\\r\\nNats-Rollup":"all"}}',
  '{"subject":"demo.pub.a","headers":{"A: b\\r\\nNats-Rollup":"all"}}',
  '{"subject":"demo.pub.a","headers":{"heddle-source":"shop/admin"}}',
  '{"subject":"demo.pub.a","headers":{"KV-Operation":"PURGE"}}',
  '{"subject":"demo.pub.a","headers":{"__proto__":"x","constructor":"y"}}',
  '{"subject":"demo.pub.a","headers":{"X-A":"\\u000dNats-Rollup: all"}}',
  '{"subject":"demo.pub.a","headers":{"X-A":"\\u010d\\u010aNats-Rollup: all"}}',
  '{"subject":"demo.pub.a","id":"x\\r\\nNats-Rollup: all"}',
  '{"subject":"demo.pub.a\\r\\nPUB secret.x 1\\r\\nx","data":""}',
  '{"subject":"demo.pub.a secret.reply 1","data":""}',
  '{"subject":"demo.pub.a","reply":"secret.x"}',
  '{"subject":"secret.x","subject":"demo.pub.a"}',
  '{"subject":"demo.pub.a","subject":"secret.x"}',
  '{"__proto__":{"subject":"secret.x"},"subject":"demo.pub.a"}',
  '{"subject":["demo.pub.a"],"data":"x"}',
  '{"subject":"demo.pub.\\u0010d","data":"x"}',
  '{"subject":"demo.pub.\\ud800","data":"x"}',
  '[1]',
  'null',
  '{"specversion":"1.0","id":"1","source":"/a","type":"secret.x"}',
  '{"specversion":"1.0","id":"1","source":"/a","type":"a","subject":"a\\r\\nNats-Rollup: all"}',
  '[{"specversion":"1.0","id":"1","source":"/a","type":"x","nats-rollup":"all"}]',
  '{"token":"x","op":"ack"}',
  '[{"token":"$JS.ACK.SECRET.worker.1.1.1.1.1","op":"ack"}]',
];
const TYPES: readonly string[] = [
  'text/plain',
  'application/json',
  'application/x-ndjson',
  'application/cloudevents+json',
  'application/cloudevents-batch+json',
  'application/cloudevents+json; charset=utf-8',
];

/** What breaks texts apart, where it does not belong. */
const BYTES: readonly string[] = [
  '\0',
  '\r',
  '\n',
  '\r\n',
  '\t',
  ' ',
  '\x0b',
  '%0d%0a',
  '%00',
  '%',
  '.',
  '*',
  '>',
  '"',
  '\xff',
  '\x85',
  '$',
  '/',
];

interface Attack {
  readonly method: string;
  readonly path: string;
  readonly queries: readonly string[];
  readonly types: readonly string[];
}

const ATTACKS: readonly ((dice: Dice) => Attack)[] = [
  publishOf,
  publishOf,
  publishOf,
  () => ({ method: 'POST', path: '/v1/publish', queries: BULK_QUERIES, types: TYPES.slice(2) }),
  () => ({ method: 'POST', path: '/v1/publish', queries: ACKS, types: ['application/x-ndjson'] }),
  (dice) => ({
    method: 'POST',
    path: `/v1/request/${subjectOf(dice)}`,
    queries: REQUEST_QUERIES,
    types: TYPES.slice(0, 2),
  }),
  () => ({ method: 'GET', path: '/v1/subscribe', queries: LIVE_QUERIES, types: [] }),
  (dice) => ({ method: 'GET', path: `/v1/streams/${nameOf(dice)}/events`, queries: STREAM_QUERIES, types: [] }),
  (dice) => ({
    method: 'GET',
    path: `/v1/streams/${nameOf(dice)}/messages/${dice.pick(SEQUENCES)}`,
    queries: [],
    types: [],
  }),
  (dice) => ({ method: 'POST', path: `${consumerOf(dice)}/fetch`, queries: PULL_QUERIES, types: TYPES.slice(0, 2) }),
  (dice) => ({ method: 'POST', path: `${consumerOf(dice)}/ack`, queries: [], types: ['application/json'] }),
  (dice) => ({
    method: dice.pick(['GET', 'PUT', 'POST', 'DELETE', 'HEAD']),
    path: `/v1/kv/${bucketOf(dice)}/${dice.pick(KEYS)}`,
    queries: KEY_QUERIES,
    types: TYPES.slice(0, 2),
  }),
  (dice) => ({ method: 'GET', path: `/v1/kv/${bucketOf(dice)}`, queries: WATCH_QUERIES, types: [] }),
];
const SEQUENCES: readonly string[] = ['1', '2', '0', '-1', '1%20', '1.5', '99999999999999999999'];

function publishOf(dice: Dice): Attack {
  return { method: 'POST', path: `/v1/publish/${subjectOf(dice)}`, queries: PUBLISH_QUERIES, types: TYPES };
}

/** A subject that is granted as often as one that is not: what is refused at once tries nothing else. */
function subjectOf(dice: Dice): string {
  return dice.oneIn(2) ? dice.pick(['demo.pub.a', 'demo.pub.b', 'demo.req.a']) : dice.pick(SUBJECTS);
}

function nameOf(dice: Dice): string {
  return dice.oneIn(2) ? 'DEMO' : dice.pick(NAMES);
}

function bucketOf(dice: Dice): string {
  return dice.oneIn(2) ? 'open' : dice.pick(BUCKETS);
}

function consumerOf(dice: Dice): string {
  return `/v1/consumers/${nameOf(dice)}/${dice.oneIn(2) ? 'worker' : dice.pick(CONSUMERS)}`;
}

/** One request, which ends its connection. */
export function hostileRequest(dice: Dice): string {
  const { method, path, queries, types } = dice.pick(ATTACKS)(dice);
  const some = <T>(items: readonly T[], max: number): T[] =>
    items.length === 0 ? [] : Array.from({ length: dice.roll(max + 1) }, () => dice.pick(items));
  const query = [...some(queries, 2), ...(dice.oneIn(12) ? [dice.pick(STRAY_QUERIES)] : [])].join('&');
  const body = types.length === 0 ? '' : [dice.pick(RECORDS), ...some(RECORDS, 2)].join('\n');
  const lines = [
    `${method} ${path}${query === '' ? '' : `?${query}`} HTTP/1.1`,
    'Host: nats.mesh',
    'Connection: close',
    ...(types.length === 0 ? [] : [`Content-Type: ${dice.pick(types)}`]),
    `Content-Length: ${body.length}`,
    ...some(HEADERS, 2),
    ...(dice.oneIn(12) ? [dice.pick(BROKEN_HEADERS)] : []),
  ];
  let text = `${lines.join('\r\n')}\r\n\r\n${body}`;
  // Half of them are what they look like; nothing tries the rest of a request that does not parse.
  for (let left = Math.max(0, dice.roll(4) - 1); left > 0; left--) text = mutated(text, dice);
  return text;
}

/** One place of it is other than it was. */
function mutated(text: string, dice: Dice): string {
  const at = dice.roll(text.length);
  const end = Math.min(text.length, at + 1 + dice.roll(12));
  switch (dice.roll(4)) {
    case 0:
      return text.slice(0, at) + dice.pick(BYTES) + text.slice(at);
    case 1:
      return text.slice(0, at) + dice.pick(BYTES) + text.slice(end);
    case 2:
      return text.slice(0, end) + text.slice(at);
    default:
      return text.slice(0, at) + dice.pick(SUBJECTS) + text.slice(end);
  }
}

/** Every subject and header that it knows, on the plainest request that could carry it. */
export function plainAttacks(): readonly string[] {
  const request = (target: string, headers: readonly string[] = [], body = 'x'): string =>
    [
      `${target} HTTP/1.1`,
      'Host: nats.mesh',
      'Connection: close',
      `Content-Length: ${body.length}`,
      ...headers,
      '',
      body,
    ].join('\r\n');
  const ndjson = ['Content-Type: application/x-ndjson'];
  return [
    ...SUBJECTS.flatMap((subject) => ['publish', 'request'].map((verb) => request(`POST /v1/${verb}/${subject}`))),
    ...SUBJECTS.map((subject) => request(`GET /v1/subscribe?subject=${subject.replaceAll('>', '%3e')}`, [], '')),
    ...[...HEADERS, ...BROKEN_HEADERS].flatMap((header) => [
      request('POST /v1/publish/demo.pub.a?ack=stream', [header]),
      request('POST /v1/request/demo.req.a', [header]),
    ]),
    ...RECORDS.map((record) => request('POST /v1/publish?ack=stream', ndjson, record)),
    ...NAMES.flatMap((name) => [
      request(`GET /v1/streams/${name}/events?from=first`, [], ''),
      request(`GET /v1/streams/${name}/messages/1`, [], ''),
    ]),
    ...NAMES.flatMap((name) =>
      CONSUMERS.map((consumer) => request(`POST /v1/consumers/${name}/${consumer}/fetch?batch=1&wait=1s`, [], '')),
    ),
    ...BUCKETS.flatMap((bucket) =>
      KEYS.flatMap((key) => ['GET', 'PUT', 'DELETE'].map((method) => request(`${method} /v1/kv/${bucket}/${key}`))),
    ),
  ];
}

/**
 * What Services that subjects serve are asked for: `prices.shop` by `demo.pub.{path[0]}`, `rates.shop` by
 * `demo.req.{header.x-a}`.
 */
export function backendAttacks(): readonly string[] {
  const request = (host: string, target: string, headers: readonly string[] = []): string =>
    [`POST ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close', 'Content-Length: 1', ...headers, '', 'x'].join(
      '\r\n',
    );
  return [
    request('prices.shop', '/a'),
    request('rates.shop', '/', ['X-A: a']),
    ...SUBJECTS.flatMap((subject) => [
      request('prices.shop', `/${subject}`),
      request('prices.shop', `/a/../${subject}`),
      request('rates.shop', '/', [`X-A: ${decodedBytes(subject)}`]),
    ]),
    ...HEADERS.map((header) => request('prices.shop', '/a', [header])),
    ...['>', '*', '', '$JS', 'denied', 'a b', 'a.b'].map((value) => request('rates.shop', '/', [`X-A: ${value}`])),
  ];
}

/** One character a byte. */
function decodedBytes(text: string): string {
  return text.replaceAll(/%([0-9a-f]{2})/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
