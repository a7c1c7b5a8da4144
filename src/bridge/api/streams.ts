import type { Msg } from '@nats-io/transport-node';
import { shown } from '../../lib/shown.ts';
import { nameRefusal, patternRefusal } from '../../lib/subject.ts';
import type { Grant } from '../access.ts';
import { MessageProblem } from '../problem.ts';
import type { Call } from './call.ts';
import { type Beginning, type EventKind, LAST_EVENT_ID, lastId, StreamSubscriber } from './following.ts';
import { EVENTS_TYPE } from './media-types.ts';
import { MESSAGE_MEMBERS, messageMembers } from './message-json.ts';
import { callRecord } from './record.ts';
import type { ApiParts, QueryOf, Route, Schema } from './route.ts';
import { EventStream } from './sse.ts';
import { LiveSubscriber, setOf } from './streams/live.ts';

const PATTERNS_MAX = 16;
const LIVE_QUERY = {
  subject: {
    type: 'array',
    items: { type: 'string', maxLength: 256, description: 'A subject' },
    maxItems: PATTERNS_MAX,
    description: 'Subjects, * and > allowed; several times for several',
  },
} as const satisfies Record<string, Schema>;

const STREAM_QUERY = {
  'filter': { type: 'string', maxLength: 256, description: 'Only messages whose subject it matches, * and > allowed' },
  'from': {
    type: 'string',
    maxLength: 40,
    pattern: String.raw`^(?:new|first|last|last-per-subject|[1-9]\d{0,14}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))$`,
    description: 'new (if absent), first, last, last-per-subject, a sequence, or a time as 2026-01-31T12:00:00Z',
  },
  'last-event-id': LAST_EVENT_ID,
} as const satisfies Record<string, Schema>;

/** The schema of an event's data. */
const MESSAGE_EVENT: Schema = {
  type: 'object',
  properties: {
    subject: { type: 'string' },
    ...MESSAGE_MEMBERS,
    seq: { type: 'integer', description: 'In the stream; not of live events' },
    time: { type: 'string', description: 'When the stream took it; not of live events' },
  },
};

/** What a stream has, as events. */
const MESSAGES: EventKind = {
  name: 'messages',
  marksReady: false,
  encode({ subject, data, headers }: Msg, sequence, storedMs) {
    const about = `"seq":${sequence},"time":"${new Date(storedMs).toISOString()}"`;
    return {
      name: 'message',
      json: `{"subject":${JSON.stringify(subject)},${messageMembers(data, headers)},${about}}`,
    };
  },
  explain: explainStream,
};

/** Consumers that need no acknowledgement are not for streams whose messages go when one has acknowledged them. */
const NOT_READABLE: ReadonlySet<unknown> = new Set([10_084, 10_098, 10_099, 10_100]);

function explainStream(problem: MessageProblem): MessageProblem {
  if (!NOT_READABLE.has(problem.members['err_code'])) return problem;
  const detail = 'Expected a stream that can be read without taking from it, got one of a work queue';
  return new MessageProblem('not-for-this-stream', detail, problem.members);
}

export const STREAM_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/subscribe',
    operation: 'subscribe',
    summary: 'What is published from now on, as events; at most once, and not resumable',
    parameters: { path: {}, query: LIVE_QUERY },
    headers: {},
    takes: [],
    answers: [
      {
        status: 200,
        description: 'Events message and gap (with the number of events that were dropped, or the reason)',
        type: EVENTS_TYPE,
        schema: MESSAGE_EVENT,
      },
    ],
    handle: subscribe,
  },
  {
    method: 'GET',
    path: '/v1/streams/{stream}/events',
    operation: 'stream-events',
    summary: 'What a stream has and gets, as events that can be resumed on any node',
    parameters: {
      path: { stream: { type: 'string', description: 'Name of a stream' } },
      query: STREAM_QUERY,
    },
    headers: { 'Last-Event-ID': 'The id of the last event that was seen: it goes on behind it' },
    takes: [],
    answers: [
      {
        status: 200,
        description:
          'Events message, gap (from and to: sequences that the stream does not have any more), reset (the stream is another one than that of the last event), error (the last one)',
        type: EVENTS_TYPE,
        schema: MESSAGE_EVENT,
      },
    ],
    handle: followStream,
  },
];

function subscribe(call: Call, { link }: ApiParts): void {
  const { subject: patterns = [] } = call.query as QueryOf<typeof LIVE_QUERY>;
  const judge = (): Grant | MessageProblem => mayListen(call, patterns);
  const grant = judge();
  const record = callRecord('receive', grant, 0);
  call.describe(record);
  if (grant instanceof MessageProblem) {
    call.problem(grant);
    return;
  }
  const stream = EventStream.reserve(call, judge);
  if (stream === undefined) return;
  stream.begin([['nats-delivery', 'at-most-once']]);
  new LiveSubscriber(link, stream, setOf(patterns), record).follow();
}

/** The grant of the first: each must have one. */
function mayListen({ grants }: Call, patterns: readonly string[]): Grant | MessageProblem {
  if (patterns.length === 0)
    return new MessageProblem('invalid-parameter', 'Expected ?subject= with what to listen to, got none');
  let first: Grant | undefined;
  for (const pattern of patterns) {
    const refusal = patternRefusal(pattern);
    const grant = refusal === undefined ? grants.subscribe(pattern) : new MessageProblem('invalid-subject', refusal);
    if (grant instanceof MessageProblem) return grant;
    first ??= grant;
  }
  return first!;
}

function followStream(call: Call, { link }: ApiParts): void {
  const { stream: name } = call.path as { readonly stream: string };
  const { filter } = call.query as QueryOf<typeof STREAM_QUERY>;
  const refusal = nameRefusal(name);
  const judge = (): Grant | MessageProblem =>
    refusal === undefined ? call.grants.readStream(name) : new MessageProblem('invalid-name', refusal);
  const grant = judge();
  const record = callRecord('receive', grant, 0);
  record.stream = name;
  call.describe(record);
  const from = grant instanceof MessageProblem ? grant : beginningOf(call, filter);
  if (from instanceof MessageProblem) {
    call.problem(from);
    return;
  }
  const stream = EventStream.reserve(call, judge);
  if (stream === undefined) return;
  const source = { stream: name, filter, kind: MESSAGES };
  new StreamSubscriber(stream, { link, source, from, anew: { at: 'after', sequence: 0 }, record }).begin();
}

function beginningOf(call: Call, filter: string | undefined): Beginning | MessageProblem {
  const refusal = filter === undefined ? undefined : patternRefusal(filter);
  if (refusal !== undefined) return new MessageProblem('invalid-subject', refusal);
  const last = lastId(call);
  if (last !== undefined) return last;
  const { from = 'new' } = call.query as QueryOf<typeof STREAM_QUERY>;
  switch (from) {
    case 'new':
      return { at: 'now' };
    case 'first':
      return { at: 'after', sequence: 0 };
    case 'last':
    case 'last-per-subject':
      return { at: from };
    default:
      break;
  }
  if (/^\d+$/.test(from)) return { at: 'after', sequence: Number(from) - 1 };
  if (!Number.isNaN(Date.parse(from))) return { at: 'time', time: from };
  return new MessageProblem('invalid-parameter', `Expected a time that there is, got ${shown(from)}`);
}
