import { subjectRefusal } from '../../lib/subject.ts';
import type { MessageRecord } from '../../telemetry.ts';
import type { Grant } from '../access.ts';
import { eventId, eventMedia, readHttpBinary, readStructured, writeNatsBinary } from '../cloud-events.ts';
import { type Field, headFields, messageHeaders, visible } from '../headers.ts';
import type { Link, OutgoingMessage, Stored } from '../link.ts';
import { MessageProblem } from '../problem.ts';
import { BoundStreams } from './bound-streams.ts';
import type { Call } from './call.ts';
import { publishOptions, type PublishOptions, PUBLISH_HEADERS, PUBLISH_QUERY } from './publish-options.ts';
import { callRecord } from './record.ts';
import type { ApiParts, Route } from './route.ts';
import { askMessage, QUESTION_MS } from './stream-api.ts';
import { waitMs } from './wait.ts';

const PUBLISH_MS = 5000;
/** Which stream binds the subject is asked before, and after a condition that failed which message is the last: `serve` waits for it. */
const QUESTIONS_MS = 6 * QUESTION_MS;
const NOTHING = Buffer.alloc(0);

export const SUBJECT = { type: 'string', description: 'Literal: tokens with dots between them, no wildcards' } as const;

/** Bytes that a body may have. The server counts the headers too: the link refuses what is too large with them. */
export function bodyMax(link: Link, grant: Grant): number {
  return Math.min(link.maxPayload, grant.maxPayload);
}

/** Where a stored message can be read. */
function locationOf({ stream, sequence }: Stored): string {
  return `/v1/streams/${encodeURIComponent(stream)}/messages/${sequence}`;
}

export const PUBLISH_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/publish/{subject}',
    operation: 'publish',
    summary: 'Publishes the body as it is, with the headers that are meant for it',
    parameters: { path: { subject: SUBJECT }, query: PUBLISH_QUERY },
    headers: PUBLISH_HEADERS,
    takes: ['*/*'],
    answers: [
      { status: 202, description: 'ack=none: it is on its way; ack=server: the NATS server has it' },
      { status: 201, description: 'ack=stream: it is stored; Location, Nats-Stream and Nats-Sequence say where' },
      { status: 200, description: 'ack=stream: it was stored before (Nats-Duplicate: true)' },
    ],
    handle: publish,
  },
];

function publish(call: Call, { link }: ApiParts): void {
  const { subject } = call.path as { readonly subject: string };
  const refusal = subjectRefusal(subject);
  if (refusal !== undefined) {
    call.problem(new MessageProblem('invalid-subject', refusal));
    return;
  }
  const grant = call.grants.publish(subject);
  const record = callRecord('send', grant, 1);
  call.describe(record);
  const options = grant instanceof MessageProblem ? grant : publishOptions(call, link, subject);
  const event = options instanceof MessageProblem ? options : eventOf(call);
  const timeoutMs = event instanceof MessageProblem ? event : waitMs(call, PUBLISH_MS);
  if (timeoutMs instanceof MessageProblem) {
    call.problem(timeoutMs);
    return;
  }
  new Publish(call, link, { subject, grant, record, options, event, timeoutMs } as Plan).read();
}

/** What a call says of the CloudEvent that it brings; undefined: it brings none. `structured`: its body is one. */
type EventPart = { readonly id: string; readonly fields: readonly Field[] } | 'structured' | undefined;

interface Plan {
  readonly subject: string;
  readonly grant: Grant;
  readonly record: MessageRecord;
  readonly options: PublishOptions;
  readonly event: EventPart;
  readonly timeoutMs: number;
}

/** Reads what the head says: all of an event in binary mode but its data. */
export function eventOf(call: Call): EventPart | MessageProblem {
  const media = eventMedia(call.header('content-type') ?? '');
  if (media === 'event') return 'structured';
  if (media === 'batch')
    return new MessageProblem(
      'unsupported-media-type',
      'Expected one CloudEvent, got a batch: POST /v1/publish takes them',
    );
  const fields = headFields(call.head);
  if (!fields.some(([name]) => name.startsWith('ce-'))) return undefined;
  const event = readHttpBinary(fields, NOTHING);
  if (event instanceof MessageProblem) return event;
  return { id: eventId(event), fields: writeNatsBinary(event).fields };
}

/** One publish on its way: from the body to the acknowledgement that was asked for. */
class Publish {
  readonly #call: Call;
  readonly #link: Link;
  readonly #plan: Plan;
  #id: string | undefined;
  /** The caller. */
  #gone = false;

  constructor(call: Call, link: Link, plan: Plan) {
    this.#call = call;
    this.#link = link;
    this.#plan = plan;
    this.#id = plan.options.id;
  }

  read(): void {
    const { grant, event, timeoutMs } = this.#plan;
    const call = this.#call;
    // What cannot be sent need not be read.
    const refusal = grant.take(1, performance.now()) ?? this.#link.refusal(Math.max(0, call.head.contentLength));
    if (refusal !== undefined) {
      call.problem(refusal);
      return;
    }
    call.expectReplyWithin(timeoutMs + QUESTIONS_MS);
    call.onAbort = () => {
      this.#gone = true;
    };
    const headers = event === 'structured' ? undefined : this.#headers(event);
    if (headers instanceof MessageProblem) {
      call.problem(headers);
      return;
    }
    call.body(bodyMax(this.#link, grant), (body) => {
      this.#take(headers, body);
    });
  }

  /** @param headers undefined: its body is a CloudEvent. */
  #take(headers: Buffer | undefined, body: Buffer): void {
    const event = headers === undefined ? readStructured(body, this.#call.header('content-type') ?? '') : undefined;
    if (event instanceof MessageProblem) {
      this.#call.problem(event);
      return;
    }
    const block = headers ?? this.#headers({ id: eventId(event!), fields: [] });
    if (block instanceof MessageProblem) this.#call.problem(block);
    else this.#send(block, body);
  }

  #headers(event: Exclude<EventPart, 'structured'>): Buffer | MessageProblem {
    const { grant, options } = this.#plan;
    const { identity } = this.#call.grants;
    const extra = [...options.extra];
    if (event !== undefined) {
      extra.push(...event.fields);
      // The publisher's own key says more than the id that a producer gave the event.
      if (this.#id === undefined) {
        this.#id = `${identity}:${event.id}`;
        extra.push(['Nats-Msg-Id', this.#id]);
      }
    }
    const { head, trace } = this.#call;
    return messageHeaders(head, { identity, trace, grant, extra, timeoutMs: undefined });
  }

  #send(headers: Buffer, body: Buffer): void {
    const { options, timeoutMs, subject } = this.#plan;
    const message = { subject: options.to, headers, body };
    if (options.ack !== 'stream') {
      this.#link.publish(message, options.ack, timeoutMs, (problem) => {
        if (problem === undefined) this.#call.reply(202, [], undefined);
        else this.#call.problem(problem);
      });
      return;
    }
    mayStore(this.#call, this.#link, options.to, subject, (refusal) => {
      if (refusal !== undefined) this.#call.problem(refusal);
      // Nobody would hear what becomes of it.
      else if (!this.#gone) this.#store(message);
    });
  }

  /** What is kept until the stream has answered is little: the message is not. */
  #store(message: OutgoingMessage): void {
    this.#link.store(message, this.#plan.timeoutMs, (problem, stored) => {
      if (problem === undefined) answerStored(this.#call, this.#plan.record, stored!);
      else if (problem.code === 'precondition-failed' && this.#id !== undefined) this.#wasItThisOne(problem);
      else this.#call.problem(problem);
    });
  }

  /** The same id with the same expectation fails by the expectation: the server looks at that first. */
  #wasItThisOne(problem: MessageProblem): void {
    const { subject } = this.#plan;
    BoundStreams.of(this.#link).find(subject, (_, stream) => {
      if (stream === undefined) {
        this.#call.problem(problem);
        return;
      }
      askMessage(this.#link, stream, { last_by_subj: subject }, (_problem, message) => {
        const ids = message?.headers.find(([name]) => name === 'Nats-Msg-Id')?.[1] ?? [];
        if (message === undefined || ids[0] !== this.#id) this.#call.problem(problem);
        else answerStored(this.#call, this.#plan.record, { stream, sequence: message.sequence, duplicate: true });
      });
    });
  }
}

/** A stream has it. */
export function answerStored(call: Call, record: MessageRecord, stored: Stored): void {
  record.stream = stored.stream;
  record.sequence = stored.sequence;
  const fields: Field[] = [
    ['location', locationOf(stored)],
    ['nats-stream', visible(stored.stream)],
    ['nats-sequence', String(stored.sequence)],
  ];
  if (stored.duplicate) fields.push(['nats-duplicate', 'true']);
  call.reply(stored.duplicate ? 200 : 201, fields, undefined);
}

/**
 * What is sent to be stored carries a subject for the reply: where no stream binds its subject, a service would answer it. So that
 * takes the right to send requests as well.
 * @param to where it is sent. @param subject that the caller named. @param go undefined: it may be sent.
 */
export function mayStore(
  { grants }: Pick<Call, 'grants'>,
  link: Link,
  to: string,
  subject: string,
  go: (refusal: MessageProblem | undefined) => void,
): void {
  if (to === subject && !(grants.request(subject) instanceof MessageProblem)) {
    go(undefined);
    return;
  }
  BoundStreams.of(link).find(to, (problem, stream) => {
    if (problem !== undefined || stream !== undefined) go(problem);
    else go(new MessageProblem('no-stream', `Expected a subject that a stream binds, got ${to}`));
  });
}
