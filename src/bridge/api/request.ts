import type { Msg } from '@nats-io/transport-node';
import { parseDuration } from '../../lib/duration.ts';
import { shown } from '../../lib/shown.ts';
import { subjectRefusal } from '../../lib/subject.ts';
import type { Grant } from '../access.ts';
import { httpFields, messageHeaders, typed } from '../headers.ts';
import type { Link, OutgoingMessage } from '../link.ts';
import { MessageProblem, problemDocument } from '../problem.ts';
import type { Call } from './call.ts';
import { EVENTS_TYPE, NDJSON_TYPE } from './media-types.ts';
import { messageMembers } from './message-json.ts';
import { bodyMax, eventOf, SUBJECT } from './publish.ts';
import { callRecord } from './record.ts';
import type { ApiParts, QueryOf, Route, Schema } from './route.ts';
import { waitMs } from './wait.ts';

const REQUEST_MS = 5000;
/** The link tells of a timeout itself: `serve` is only to be later. */
const SLACK_MS = 2000;
/** Replies that a client does not take. */
const WAITING_CHARS_MAX = 1024 * 1024;
const REPLIES_MAX = 100_000;
const REPLIES = 1000;

const QUERY = {
  max: { type: 'integer', minimum: 1, maximum: REPLIES_MAX, description: 'Of many replies: so many at most' },
  stall: {
    type: 'string',
    maxLength: 20,
    description: 'Of many replies: it ends when none came for so long, as 300ms',
  },
} as const satisfies Record<string, Schema>;

export const REQUEST_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/request/{subject}',
    operation: 'request',
    summary: 'Sends the body as a request and answers with the reply, or with many where Accept names a streamed type',
    parameters: { path: { subject: SUBJECT }, query: QUERY },
    headers: {
      Prefer: 'wait=N: seconds to wait for a reply, up to 300; 5 if absent',
      Accept: `${NDJSON_TYPE} or ${EVENTS_TYPE}: many replies, one line or event for each`,
    },
    takes: ['*/*'],
    answers: [
      { status: 200, description: 'The reply as it is, with its headers', type: 'application/octet-stream' },
      { status: 200, description: 'A line for each reply', type: NDJSON_TYPE },
      { status: 200, description: 'An event for each reply', type: EVENTS_TYPE },
    ],
    handle: request,
  },
];

/** How many replies are wanted, and as what. */
interface Many {
  readonly type: typeof EVENTS_TYPE | typeof NDJSON_TYPE;
  readonly max: number;
  /** Undefined: however long none comes. */
  readonly stallMs: number | undefined;
}

function request(call: Call, { link }: ApiParts): void {
  const { subject } = call.path as { readonly subject: string };
  const refusal = subjectRefusal(subject);
  if (refusal !== undefined) {
    call.problem(new MessageProblem('invalid-subject', refusal));
    return;
  }
  const grant = call.grants.request(subject);
  call.describe(callRecord('request', grant, 1));
  const many = grant instanceof MessageProblem ? grant : manyOf(call);
  const timeoutMs = many instanceof MessageProblem ? many : waitMs(call, REQUEST_MS);
  const headers = timeoutMs instanceof MessageProblem ? timeoutMs : headersOf(call, link, grant as Grant, timeoutMs);
  if (headers instanceof MessageProblem) {
    call.problem(headers);
    return;
  }
  call.expectReplyWithin((timeoutMs as number) + SLACK_MS);
  call.body(bodyMax(link, grant as Grant), (body) => {
    const message = { subject, headers, body };
    if (many === undefined) ask(call, link, message, timeoutMs as number);
    else askMany(call, link, message, timeoutMs as number, many as Many);
  });
}

function manyOf(call: Call): Many | undefined | MessageProblem {
  const { max, stall } = call.query as QueryOf<typeof QUERY>;
  const accept = (call.header('accept') ?? '').toLowerCase();
  const type = accept.includes(NDJSON_TYPE) ? NDJSON_TYPE : accept.includes(EVENTS_TYPE) ? EVENTS_TYPE : undefined;
  if (type === undefined) {
    if (max === undefined && stall === undefined) return undefined;
    return new MessageProblem(
      'invalid-parameter',
      `Expected Accept: ${NDJSON_TYPE} or ${EVENTS_TYPE} with max and stall`,
    );
  }
  const stallMs = stall === undefined ? undefined : parseDuration(stall);
  if (stall === undefined || (stallMs !== undefined && stallMs > 0)) return { type, max: max ?? REPLIES, stallMs };
  return new MessageProblem('invalid-parameter', `Expected stall to be a duration as 300ms, got ${shown(stall)}`);
}

function headersOf(call: Call, link: Link, grant: Grant, timeoutMs: number): Buffer | MessageProblem {
  const { head, trace, grants } = call;
  const refusal = grant.take(1, performance.now()) ?? link.refusal(Math.max(0, head.contentLength));
  const event = refusal ?? eventOf(call);
  if (event instanceof MessageProblem) return event;
  const extra = event === undefined || event === 'structured' ? [] : event.fields;
  return messageHeaders(head, { identity: grants.identity, trace, grant, extra, timeoutMs });
}

function ask(call: Call, link: Link, message: OutgoingMessage, timeoutMs: number): void {
  call.onAbort = link.request(message, timeoutMs, (problem, reply) => {
    const fields = problem ?? httpFields(reply!.headers);
    if (fields instanceof MessageProblem) call.problem(fields);
    else call.reply(200, typed(fields), reply!.data);
  });
}

/** The answer begins with the first reply: until then it can be a problem. */
function askMany(call: Call, link: Link, message: OutgoingMessage, timeoutMs: number, many: Many): void {
  const replies = new Replies(call, many.type);
  const until = { max: many.max, stallMs: many.stallMs ?? timeoutMs, timeoutMs };
  const cancel = link.requestMany(
    message,
    until,
    (reply) => {
      if (!replies.add(reply)) cancel();
    },
    (problem) => {
      replies.end(problem);
    },
  );
  call.onAbort = cancel;
}

/** Replies as they come, as lines or events. */
class Replies {
  readonly #call: Call;
  readonly #type: Many['type'];
  #began = false;
  #waiting = '';
  #writable = true;
  #ended = false;

  constructor(call: Call, type: Many['type']) {
    this.#call = call;
    this.#type = type;
    call.onWritable = () => {
      this.#writable = true;
      this.#flush();
    };
  }

  /** False: the client does not keep up, and the answer was cut. */
  add({ data, headers }: Msg): boolean {
    this.#begin();
    this.#put('message', `{${messageMembers(data, headers)}}`);
    if (this.#waiting.length <= WAITING_CHARS_MAX) return true;
    this.#call.cut();
    return false;
  }

  end(problem: MessageProblem | undefined): void {
    if (problem !== undefined && !this.#began) {
      this.#call.problem(problem);
      return;
    }
    this.#begin();
    if (problem !== undefined) this.#put('error', problemDocument(problem).toString().trimEnd());
    this.#ended = true;
    this.#flush();
  }

  #begin(): void {
    if (this.#began) return;
    this.#began = true;
    this.#call.stream(200, [
      ['content-type', this.#type],
      ['cache-control', 'no-store'],
    ]);
  }

  #put(event: string, json: string): void {
    this.#waiting += this.#type === NDJSON_TYPE ? `${json}\n` : `event: ${event}\ndata: ${json}\n\n`;
    this.#flush();
  }

  #flush(): void {
    if (this.#waiting !== '' && this.#writable) {
      this.#writable = this.#call.write(Buffer.from(this.#waiting));
      this.#waiting = '';
    }
    if (this.#ended && this.#waiting === '') this.#call.finish();
  }
}
