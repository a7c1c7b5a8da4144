import { parseDuration } from '../../lib/duration.ts';
import { shown } from '../../lib/shown.ts';
import { keyPatternRefusal, keyRefusal, nameRefusal } from '../../lib/subject.ts';
import type { MessageRecord } from '../../telemetry.ts';
import type { Grant } from '../access.ts';
import type { Field } from '../headers.ts';
import type { Link } from '../link.ts';
import { MessageProblem } from '../problem.ts';
import type { Call } from './call.ts';
import { expectedLast } from './conditions.ts';
import { type EventKind, LAST_EVENT_ID, lastId, StreamSubscriber } from './following.ts';
import {
  type Entry,
  explainBucket,
  operationOf,
  readLatest,
  readNearest,
  readRevision,
  streamOf,
  subjectOf,
} from './kv/entry.ts';
import { answerHistory, entryMembers } from './kv/history.ts';
import { isNamed, tagOf } from './kv/tags.ts';
import { write, type Write } from './kv/write.ts';
import { EVENTS_TYPE } from './media-types.ts';
import { bodyMax } from './publish.ts';
import { notSupported } from './publish-options.ts';
import { callRecord } from './record.ts';
import type { ApiParts, QueryOf, Route, Schema } from './route.ts';
import { EventStream } from './sse.ts';
import { waitMs } from './wait.ts';

const WRITE_MS = 5000;
const MS_PER_S = 1000;
const OCTETS = 'application/octet-stream';

const BUCKET = { type: 'string', description: 'Name of a bucket' } as const;
const KEY = { type: 'string', description: 'A key; a / in it is %2F' } as const;
const PATH = { bucket: BUCKET, key: KEY } as const;

const GET_QUERY = {
  revision: { type: 'integer', minimum: 1, description: 'This one, in place of the last' },
  history: { type: 'boolean', description: 'All revisions that the bucket has, up to 64, as JSON' },
} as const satisfies Record<string, Schema>;

const PUT_QUERY = {
  ttl: {
    type: 'string',
    maxLength: 20,
    description: 'After which time the value goes, as 90s or 1h; the bucket must allow it',
  },
} as const satisfies Record<string, Schema>;

const DELETE_QUERY = {
  purge: { type: 'boolean', description: 'With all earlier revisions' },
} as const satisfies Record<string, Schema>;

const WATCH_QUERY = {
  'watch': { type: 'string', maxLength: 256, description: 'Which keys, * and > allowed: > is all' },
  'last-event-id': LAST_EVENT_ID,
} as const satisfies Record<string, Schema>;

const CREATED = { status: 201, description: 'The key had no value; ETag is its revision' };
const IF_MATCH = 'Only if this is the last revision, as "7"';

export const KV_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/kv/{bucket}/{key}',
    operation: 'kv-get',
    summary: 'The value of a key; ETag is its revision',
    parameters: { path: PATH, query: GET_QUERY },
    headers: {
      'If-None-Match': '304 if this is the revision, as "7"',
      'Cache-Control': 'no-cache: as the leader of the bucket has it, where another replica may be a little behind',
    },
    takes: [],
    answers: [
      { status: 200, description: 'The value as it is', type: OCTETS },
      { status: 304, description: 'It is what If-None-Match names' },
    ],
    handle: get,
  },
  {
    method: 'PUT',
    path: '/v1/kv/{bucket}/{key}',
    operation: 'kv-put',
    summary: 'Puts a value',
    parameters: { path: PATH, query: PUT_QUERY },
    headers: { 'If-Match': IF_MATCH, 'If-None-Match': '*: only if the key has no value' },
    takes: ['*/*'],
    answers: [{ status: 200, description: 'ETag is the revision that it has now' }, CREATED],
    handle: put,
  },
  {
    method: 'POST',
    path: '/v1/kv/{bucket}/{key}',
    operation: 'kv-create',
    summary: 'Puts a value, if the key has none',
    parameters: { path: PATH, query: PUT_QUERY },
    headers: {},
    takes: ['*/*'],
    answers: [CREATED],
    handle: create,
  },
  {
    method: 'DELETE',
    path: '/v1/kv/{bucket}/{key}',
    operation: 'kv-delete',
    summary: 'Deletes the value of a key, or all that the bucket has of it',
    parameters: { path: PATH, query: DELETE_QUERY },
    headers: { 'If-Match': IF_MATCH },
    takes: [],
    answers: [{ status: 204, description: 'It has no value, whether it had one or not; ETag is the revision of that' }],
    handle: remove,
  },
  {
    method: 'GET',
    path: '/v1/kv/{bucket}',
    operation: 'kv-watch',
    summary: 'The values of keys, and then what becomes of them, as events that can be resumed on any node',
    parameters: { path: { bucket: BUCKET }, query: WATCH_QUERY },
    headers: { 'Last-Event-ID': 'The id of the last event that was seen: it goes on behind it' },
    takes: [],
    answers: [
      {
        status: 200,
        description:
          'Events put, del, purge; ready after the values that there were; gap, reset and error as of streams',
        type: EVENTS_TYPE,
      },
    ],
    handle: watch,
  },
];

/** Judges the call; undefined: it is answered. */
function judge(
  call: Call,
  access: 'read' | 'write',
  messages = 1,
): { readonly grant: Grant; readonly record: MessageRecord } | undefined {
  const { bucket, key } = call.path as { readonly bucket: string; readonly key?: string };
  const refusal = nameRefusal(bucket) ?? (key === undefined ? undefined : keyRefusal(key));
  const grant = refusal === undefined ? call.grants.kv(bucket, access) : new MessageProblem('invalid-name', refusal);
  const record = callRecord('kv', grant, messages);
  record.stream = streamOf(bucket);
  call.describe(record);
  if (!(grant instanceof MessageProblem)) return { grant, record };
  call.problem(grant);
  return undefined;
}

function get(call: Call, { link }: ApiParts): void {
  if (judge(call, 'read') === undefined) return;
  const { bucket, key } = call.path as { readonly bucket: string; readonly key: string };
  const { revision, history } = call.query as QueryOf<typeof GET_QUERY>;
  const noneMatch = call.header('if-none-match');
  if (history === true) {
    if (revision === undefined) answerHistory(call, link, bucket, key);
    else call.problem(new MessageProblem('invalid-parameter', 'Expected revision or history, got both'));
    return;
  }
  const give = (problem: MessageProblem | undefined, entry: Entry | undefined): void => {
    if (problem !== undefined) call.problem(problem);
    else if (entry?.operation === 'put') answerValue(call, entry, noneMatch);
    else call.problem(noValue(entry));
  };
  if (revision !== undefined) readRevision(link, bucket, key, revision, give);
  else if (/\bno-cache\b/i.test(call.header('cache-control') ?? '')) readLatest(link, bucket, key, give);
  else readNearest(link, bucket, key, give);
}

function answerValue(call: Call, { revision, time, value }: Entry, noneMatch: string | undefined): void {
  const timeMs = Date.parse(time);
  const fields: Field[] = [
    ['etag', tagOf(revision)],
    ['cache-control', 'no-cache'],
  ];
  if (!Number.isNaN(timeMs)) fields.push(['last-modified', new Date(timeMs).toUTCString()]);
  if (isNamed(noneMatch, revision)) call.reply(304, fields, undefined);
  else call.reply(200, [['content-type', OCTETS], ...fields], value);
}

function noValue(entry: Entry | undefined): MessageProblem {
  if (entry === undefined)
    return new MessageProblem('no-key', 'Expected a key that the bucket has, or one of its revisions, got another');
  const { operation, revision } = entry;
  return new MessageProblem('no-key', 'Expected a key with a value, got one that was deleted', { operation, revision });
}

function put(call: Call, parts: ApiParts): void {
  change(call, parts, 'put', expectedLast(call, 'revision', 1));
}

function create(call: Call, parts: ApiParts): void {
  const conditions = call.header('if-match') ?? call.header('if-none-match');
  const refusal = new MessageProblem('invalid-header', 'Expected no condition with POST, which creates, got one');
  change(call, parts, 'put', conditions === undefined ? 0 : refusal);
}

function remove(call: Call, parts: ApiParts): void {
  const { purge } = call.query as QueryOf<typeof DELETE_QUERY>;
  const expected = expectedLast(call, 'revision', 1);
  const refusal = new MessageProblem('invalid-header', 'Expected If-Match with DELETE, got If-None-Match');
  change(call, parts, purge === true ? 'purge' : 'del', expected === 0 ? refusal : expected);
}

function change(
  call: Call,
  { link }: ApiParts,
  operation: Write['operation'],
  expected: number | undefined | MessageProblem,
): void {
  const judged = judge(call, 'write');
  if (judged === undefined) return;
  const { grant } = judged;
  const { bucket, key } = call.path as { readonly bucket: string; readonly key: string };
  const ttlS = expected instanceof MessageProblem ? expected : ttlOf(call, link);
  const timeoutMs = ttlS instanceof MessageProblem ? ttlS : waitMs(call, WRITE_MS);
  const refusal = timeoutMs instanceof MessageProblem ? timeoutMs : grant.take(1, performance.now());
  if (refusal !== undefined) {
    call.problem(refusal);
    return;
  }
  // A create may be three questions.
  call.expectReplyWithin(3 * (timeoutMs as number));
  call.body(bodyMax(link, grant), (value) => {
    const wanted = { bucket, key, operation, value, expected, ttlS } as Write;
    write(link, wanted, timeoutMs as number, (problem, stored) => {
      if (problem !== undefined) {
        call.problem(problem);
        return;
      }
      const status = operation === 'put' ? (expected === 0 ? 201 : 200) : 204;
      call.reply(status, [['etag', tagOf(stored!.sequence)]], undefined);
    });
  });
}

/** Seconds, which is all that servers know. */
function ttlOf(call: Call, link: Link): number | undefined | MessageProblem {
  const { ttl } = call.query as QueryOf<typeof PUT_QUERY>;
  if (ttl === undefined) return undefined;
  const ms = parseDuration(ttl);
  if (ms === undefined || ms < MS_PER_S || ms % MS_PER_S !== 0)
    return new MessageProblem('invalid-parameter', `Expected ttl to be whole seconds as 90s or 1h, got ${shown(ttl)}`);
  return link.serverIsAtLeast(2, 11) ? ms / MS_PER_S : notSupported(link, 'ttl', '2.11');
}

/** Each bucket and pattern of keys, as events. */
const REVISIONS: EventKind = {
  name: 'revisions',
  marksReady: true,
  encode({ subject, data, headers }, sequence, storedMs) {
    const operation = operationOf((name) => headers?.get(name));
    // $KV, the bucket, and the key with whatever dots it has.
    const key = subject.slice(subject.indexOf('.', 4) + 1);
    const time = new Date(storedMs).toISOString();
    const members = entryMembers({ revision: sequence, time, operation, value: data });
    return { name: operation, json: `{"key":${JSON.stringify(key)},${members}}` };
  },
  explain: explainBucket,
};

function watch(call: Call, { link }: ApiParts): void {
  const judged = judge(call, 'read', 0);
  if (judged === undefined) return;
  const { record } = judged;
  const { bucket } = call.path as { readonly bucket: string };
  const { watch: pattern } = call.query as QueryOf<typeof WATCH_QUERY>;
  const refusal =
    pattern === undefined
      ? new MessageProblem('invalid-parameter', 'Expected ?watch= with the keys to watch, got none')
      : patternProblem(pattern);
  const from = refusal ?? lastId(call) ?? ({ at: 'last-per-subject' } as const);
  if (from instanceof MessageProblem) {
    call.problem(from);
    return;
  }
  const stream = EventStream.reserve(call, () => call.grants.kv(bucket, 'read'));
  if (stream === undefined) return;
  const source = { stream: streamOf(bucket), filter: subjectOf(bucket, pattern!), kind: REVISIONS };
  new StreamSubscriber(stream, { link, source, from, anew: { at: 'last-per-subject' }, record }).begin();
}

function patternProblem(pattern: string): MessageProblem | undefined {
  const refusal = keyPatternRefusal(pattern);
  return refusal === undefined ? undefined : new MessageProblem('invalid-name', refusal);
}
