import { parseDuration } from '../../lib/duration.ts';
import { shown } from '../../lib/shown.ts';
import { nameRefusal } from '../../lib/subject.ts';
import type { MessageRecord } from '../../telemetry.ts';
import type { Link } from '../link.ts';
import { MessageProblem, PROBLEMS } from '../problem.ts';
import type { Call } from './call.ts';
import { askAckTerms, type AckTerms, expiryMs } from './consumers/ack-terms.ts';
import { Fetch, type FetchedMessage, fetchRefusal } from './consumers/fetch.ts';
import { OPERATIONS, settleOne, type SettleOptions } from './consumers/settle.ts';
import { JSON_TYPE } from './media-types.ts';
import { MESSAGE_MEMBERS, messageMembers } from './message-json.ts';
import { callRecord } from './record.ts';
import type { ApiParts, QueryOf, Route, Schema } from './route.ts';
import { Tokens } from './tokens.ts';

const BATCH = 1;
const BATCH_MAX = 1000;
const WAIT_MAX_MS = 60_000;
const SLACK_MS = 10_000;
const ITEMS_MAX = 1000;
const ITEMS_BYTES_MAX = 2 * 1024 * 1024;
/** Of one call, under way at a time. */
const WINDOW = 64;

const PATH = {
  stream: { type: 'string', description: 'Name of a stream' },
  consumer: { type: 'string', description: 'Name of a pull consumer of it; not those of Heddle' },
} as const;

const FETCH_QUERY = {
  batch: { type: 'integer', minimum: 1, maximum: BATCH_MAX, description: 'So many at most; 1 if absent' },
  wait: {
    type: 'string',
    maxLength: 20,
    description: 'For the first one, if there is none, as 30s; up to 1m; 0s if absent',
  },
} as const satisfies Record<string, Schema>;

const FETCHED: Schema = {
  type: 'object',
  properties: {
    messages: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          subject: { type: 'string' },
          ...MESSAGE_MEMBERS,
          seq: { type: 'integer' },
          time: { type: 'string', format: 'date-time' },
          deliveries: { type: 'integer', description: 'How often it was delivered, this time included' },
          ack_token: { type: 'string', description: 'Settles it, at any node, until it is delivered again' },
        },
      },
    },
  },
};

export const CONSUMER_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/consumers/{stream}/{consumer}/fetch',
    operation: 'fetch',
    summary: 'Pulls messages; whatever is not acknowledged in time is delivered again',
    parameters: { path: PATH, query: FETCH_QUERY },
    headers: {},
    takes: [],
    answers: [
      { status: 200, description: 'Messages', type: JSON_TYPE, schema: FETCHED },
      { status: 204, description: 'There are none' },
    ],
    handle: fetchMessages,
  },
  {
    method: 'POST',
    path: '/v1/consumers/{stream}/{consumer}/ack',
    operation: 'ack',
    summary: `Settles messages that were pulled: [{"token": …, "op": ${OPERATIONS.join(' | ')}, "delay": "30s"}]`,
    parameters: { path: PATH, query: {} },
    headers: {},
    takes: [JSON_TYPE],
    answers: [{ status: 200, description: 'What became of each, in the same order', type: JSON_TYPE }],
    handle: settleMessages,
  },
];

interface Caller {
  readonly call: Call;
  readonly link: Link;
  readonly record: MessageRecord;
  readonly tokens: Tokens;
  readonly stream: string;
  readonly consumer: string;
}

/** Judges the call and learns of its consumer. Where it refuses, the call is answered. */
function judge(call: Call, { link, tokenKey }: ApiParts, operation: MessageRecord['operation']): Caller | undefined {
  const { stream, consumer } = call.path as { readonly stream: string; readonly consumer: string };
  const refusal = nameRefusal(stream) ?? nameRefusal(consumer);
  const grant =
    refusal === undefined ? call.grants.pull(stream, consumer) : new MessageProblem('invalid-name', refusal);
  const record = { ...callRecord(operation, grant, 0), stream, consumer };
  call.describe(record);
  const tokens = grant instanceof MessageProblem ? grant : Tokens.of(tokenKey);
  if (!(tokens instanceof MessageProblem)) return { call, link, record, tokens, stream, consumer };
  call.problem(tokens);
  return undefined;
}

function fetchMessages(call: Call, parts: ApiParts): void {
  const caller = judge(call, parts, 'receive');
  if (caller === undefined) return;
  const { batch = BATCH, wait = '0s' } = call.query as QueryOf<typeof FETCH_QUERY>;
  const waitMs = parseDuration(wait);
  if (waitMs === undefined || waitMs > WAIT_MAX_MS) {
    call.problem(
      new MessageProblem('invalid-parameter', `Expected wait to be a time up to 1m as 30s, got ${shown(wait)}`),
    );
    return;
  }
  const { link, stream, consumer, record } = caller;
  let cancel: (() => void) | undefined;
  let gone = false;
  call.onAbort = () => {
    gone = true;
    cancel?.();
  };
  call.expectReplyWithin(waitMs + SLACK_MS);
  askAckTerms(link, stream, consumer, (terms) => {
    if (gone) return;
    const refusal = terms instanceof MessageProblem ? terms : fetchRefusal();
    if (refusal !== undefined) {
      call.problem(refusal);
      return;
    }
    const fetch = new Fetch(link, { stream, consumer, batch, waitMs }, (problem, messages) => {
      record.messages = messages.length;
      if (problem !== undefined) call.problem(problem);
      else if (messages.length === 0) call.reply(204, [], undefined);
      else answerMessages(caller, terms as AckTerms, messages);
    });
    cancel = () => {
      fetch.cancel();
    };
  });
}

function answerMessages({ call, tokens }: Caller, terms: AckTerms, messages: readonly FetchedMessage[]): void {
  const nowMs = Date.now();
  const { identity } = call.grants;
  const texts = messages.map(({ message, delivered }) => {
    const { subject, data, headers, reply } = message;
    const { sequence, storedMs, count } = delivered;
    const ticket = { ackSubject: reply!, expiresMs: expiryMs(terms, count, nowMs) };
    const token = terms.ackWaitsMs.length === 0 ? '' : `,"ack_token":"${tokens.sign(identity, ticket)}"`;
    const about = `"seq":${sequence},"time":"${new Date(storedMs).toISOString()}","deliveries":${count}${token}`;
    return `{"subject":${JSON.stringify(subject)},${messageMembers(data, headers)},${about}}`;
  });
  call.reply(
    200,
    [
      ['content-type', JSON_TYPE],
      ['cache-control', 'no-store'],
    ],
    Buffer.from(`{"messages":[${texts.join(',')}]}\n`),
  );
}

function settleMessages(call: Call, parts: ApiParts): void {
  const caller = judge(call, parts, 'settle');
  if (caller === undefined) return;
  const { link, stream, consumer, tokens, record } = caller;
  const { identity } = call.grants;
  call.expectReplyWithin(WAIT_MAX_MS);
  call.body(ITEMS_BYTES_MAX, (body) => {
    const items = itemsIn(body);
    if (items instanceof MessageProblem) {
      call.problem(items);
      return;
    }
    record.messages = items.length;
    askAckTerms(link, stream, consumer, (terms) => {
      if (terms instanceof MessageProblem) call.problem(terms);
      else settleAll(call, items, { link, tokens, stream, consumer, terms, identity });
    });
  });
}

function itemsIn(body: Buffer): readonly unknown[] | MessageProblem {
  let items: unknown;
  try {
    items = JSON.parse(body.toString());
  } catch {
    return new MessageProblem('invalid-body', 'Expected JSON, got something else');
  }
  if (Array.isArray(items) && items.length <= ITEMS_MAX) return items;
  return new MessageProblem('invalid-body', `Expected a list of at most ${ITEMS_MAX} items, got ${shown(items)}`);
}

/** A few at a time; the answer has what became of each. */
function settleAll(call: Call, items: readonly unknown[], options: SettleOptions): void {
  const results: object[] = [];
  let begun = 0;
  let done = 0;
  const answer = (): void => {
    call.reply(200, [['content-type', JSON_TYPE]], Buffer.from(`${JSON.stringify({ results })}\n`));
  };
  const next = (): void => {
    if (begun === items.length) return;
    const index = begun++;
    settleOne(items[index], options, (problem, token) => {
      results[index] = problem === undefined ? { status: 200, token } : resultOf(problem);
      if (++done === items.length) answer();
      else setImmediate(next);
    });
  };
  if (items.length === 0) answer();
  for (let index = 0; index < WINDOW; index++) next();
}

function resultOf({ code, status, detail, outcome }: MessageProblem): object {
  return { status, code, detail, outcome, retryable: PROBLEMS[code].retryable };
}
