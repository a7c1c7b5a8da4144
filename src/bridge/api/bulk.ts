import { isUtf8 } from 'node:buffer';
import { bufferOf } from '../../lib/buffer-of.ts';
import { parseTemplate, type Template, type TemplateGrammar } from '../../lib/template.ts';
import {
  type CloudEvent,
  eventId,
  eventMedia,
  readBatch,
  readHttpBinary,
  readStructured,
  writeNatsBinary,
} from '../cloud-events.ts';
import { Collected, NO_ROOM } from '../collected.ts';
import { headFields } from '../headers.ts';
import type { Link } from '../link.ts';
import { MessageProblem } from '../problem.ts';
import type { Call } from './call.ts';
import { NDJSON_TYPE } from './media-types.ts';
import { readRecord } from './ndjson.ts';
import { Outgoing, type OutgoingRecord } from './outgoing.ts';
import { answerStored } from './publish.ts';
import { ACK, type Ack } from './publish-options.ts';
import { callRecord } from './record.ts';
import { Reports } from './reports.ts';
import type { ApiParts, QueryOf, Route, Schema } from './route.ts';

const LF = 10;
/** What stands in a string in place of bytes that are no UTF-8. */
const REPLACED = '\ufffd';
/** Of a line beside its data, which may be in base64. */
const LINE_EXTRA = 64 * 1024;
/** The link tells of each record earlier. */
const REPORT_MS = 30_000;
/** Of a batch of events, which is read as a whole. */
const BATCH_BYTES_MAX = 8 * 1024 * 1024;
/** Types of events have dots (`com.example.created`), and the policy judges the subject that comes of it. */
const EVENT_SUBJECT: TemplateGrammar = { allowed: ['ce'], separator: '.', dotted: true };

const QUERY = {
  ack: ACK,
  subject: {
    type: 'string',
    maxLength: 512,
    description: 'Of CloudEvents: a subject, in which {ce.type} and the like stand for attributes',
  },
} as const satisfies Record<string, Schema>;

export const BULK_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/publish',
    operation: 'publish-bulk',
    summary: 'Publishes many messages, with a report for each, or one CloudEvent',
    parameters: { path: {}, query: QUERY },
    headers: {},
    takes: [NDJSON_TYPE, 'application/cloudevents-batch+json', 'application/cloudevents+json'],
    answers: [
      {
        status: 200,
        description: 'A line of JSON for each record, in their order, while they come',
        type: NDJSON_TYPE,
      },
      { status: 201, description: 'One event, ack=stream: it is stored' },
      { status: 202, description: 'One event, ack=none or server: it is on its way, or the NATS server has it' },
    ],
    handle: publishMany,
  },
];

function publishMany(call: Call, { link }: ApiParts): void {
  const { ack = 'server', subject } = call.query as QueryOf<typeof QUERY>;
  const type = call.header('content-type') ?? '';
  const media = eventMedia(type);
  if (media === undefined && type.toLowerCase().startsWith(NDJSON_TYPE)) {
    new Lines(call, link, ack).start();
    return;
  }
  const fields = headFields(call.head);
  if (media === undefined && !fields.some(([name]) => name.startsWith('ce-'))) {
    const detail = `Expected ${NDJSON_TYPE} or CloudEvents (else POST /v1/publish/{subject}), got ${type || 'no Content-Type'}`;
    call.problem(new MessageProblem('unsupported-media-type', detail));
    return;
  }
  const template =
    subject === undefined
      ? 'Expected ?subject=, as events.{ce.type}, with CloudEvents; got none'
      : parseTemplate(subject, EVENT_SUBJECT);
  if (typeof template === 'string') {
    call.problem(new MessageProblem('invalid-parameter', template));
    return;
  }
  call.body(BATCH_BYTES_MAX, (body) => {
    if (media === 'batch') sendBatch(call, link, ack, template, readBatch(body, type));
    else
      sendOne(call, link, ack, template, media === 'event' ? readStructured(body, type) : readHttpBinary(fields, body));
  });
}

/** A message for an event, under the subject that the template makes of it. */
function recordOf(call: Call, event: CloudEvent, template: Template): OutgoingRecord | MessageProblem {
  const subject = template.render({
    token: () => undefined,
    named: (_root, name) => event.attributes.get(name),
  });
  if (subject === undefined)
    return new MessageProblem(
      'invalid-subject',
      `Expected attributes that make a subject of ${template.text}, got others`,
    );
  const { fields, body } = writeNatsBinary(event);
  const extra = [...fields, ['Nats-Msg-Id', `${call.grants.identity}:${eventId(event)}`] as const];
  return { subject, body: bufferOf(body), fields: [], extra, json: false };
}

/** As for any publish: who sends one event looks at the status. */
function sendOne(call: Call, link: Link, ack: Ack, template: Template, event: CloudEvent | MessageProblem): void {
  const record = event instanceof MessageProblem ? event : recordOf(call, event, template);
  if (record instanceof MessageProblem) {
    call.problem(record);
    return;
  }
  const message = callRecord('send', call.grants.publish(record.subject), 1);
  call.describe(message);
  new Outgoing(call, link, ack, (_index, problem, stored) => {
    if (problem !== undefined) call.problem(problem);
    else if (stored === undefined) call.reply(202, [], undefined);
    else answerStored(call, message, stored);
  }).send(record);
}

function sendBatch(call: Call, link: Link, ack: Ack, template: Template, events: ReturnType<typeof readBatch>): void {
  if (events instanceof MessageProblem) {
    call.problem(events);
    return;
  }
  const bulk = new Bulk(call, link, ack);
  let at = 0;
  bulk.feed(() => {
    while (at < events.length && bulk.hasRoom) {
      const event = events[at++]!;
      bulk.add(event instanceof MessageProblem ? event : recordOf(call, event, template));
    }
    if (at === events.length) bulk.end();
  });
}

/** Records in, reports out, each at the pace of the other. */
class Bulk {
  readonly #outgoing: Outgoing;
  readonly #reports: Reports;
  readonly #record = callRecord('send', undefined, 0);
  #ended = false;
  #feed: () => void = () => {};
  #feeding = false;

  constructor(call: Call, link: Link, ack: Ack) {
    this.#reports = new Reports(call, ack, () => {
      this.#goOn();
    });
    this.#outgoing = new Outgoing(call, link, ack, (index, problem, stored) => {
      if (problem === undefined) this.#record.messages++;
      this.#reports.add(index, problem, stored);
      this.#endIfDone();
    });
    call.describe(this.#record);
    call.expectReplyWithin(REPORT_MS);
    call.onAbort = () => {
      this.stop();
    };
    call.onWritable = () => {
      this.#reports.goOn();
    };
    this.#outgoing.onRoom = () => {
      this.#goOn();
    };
  }

  /** Reports may follow. */
  begin(): void {
    this.#reports.begin();
  }

  get hasRoom(): boolean {
    return this.#outgoing.hasRoom && !this.#reports.isFull;
  }

  /** @param feed gives records for as long as there is room; called again whenever there is some. */
  feed(feed: () => void): void {
    this.#feed = feed;
    this.#goOn();
  }

  add(record: OutgoingRecord | MessageProblem): void {
    if (record instanceof MessageProblem) this.#outgoing.refuse(record);
    else this.#outgoing.send(record);
  }

  /** Nobody waits for it any more. */
  stop(): void {
    this.#outgoing.stopped = true;
  }

  /** No record follows. */
  end(): void {
    this.#ended = true;
    this.#endIfDone();
  }

  #goOn(): void {
    if (this.#feeding || !this.hasRoom) return;
    this.#feeding = true;
    this.#feed();
    this.#feeding = false;
  }

  #endIfDone(): void {
    if (this.#ended && this.#outgoing.isIdle) this.#reports.end();
  }
}

/** Lines of JSON, as they come. */
class Lines {
  readonly #call: Call;
  readonly #bulk: Bulk;
  readonly #identity: string;
  readonly #lineMax: number;
  /** The beginning of a line whose end has not come. */
  readonly #begun: Collected;
  /** Of that line, with what is not kept of it. */
  #begunBytes = 0;
  /** The rest of what came, while there is no room. */
  #rest: Buffer | undefined = undefined;
  #isLast = false;

  constructor(call: Call, link: Link, ack: Ack) {
    this.#call = call;
    this.#bulk = new Bulk(call, link, ack);
    this.#identity = call.grants.identity;
    this.#lineMax = 2 * link.maxPayload + LINE_EXTRA;
    this.#begun = new Collected(call.source.address);
    call.onAbort = () => {
      this.#bulk.stop();
      this.#begun.release();
    };
  }

  start(): void {
    this.#bulk.feed(() => {
      this.#goOn();
    });
    this.#call.bodyPieces(
      (bytes, start, end) => {
        const at = this.#rest === undefined ? this.#take(bytes, start, end) : start;
        if (at === end) return true;
        const rest = Buffer.from(bytes.subarray(at, end));
        this.#rest = this.#rest === undefined ? rest : Buffer.concat([this.#rest, rest]);
        return false;
      },
      () => {
        this.#isLast = true;
        if (this.#rest === undefined) this.#end();
      },
    );
    // Who waits for 100 (Continue) has it now, and gets the head of the answer with the first report.
    if (!this.#call.head.expectContinue) this.#bulk.begin();
  }

  /** There is room again. */
  #goOn(): void {
    const rest = this.#rest;
    if (rest === undefined) return;
    const at = this.#take(rest, 0, rest.length);
    if (at < rest.length) {
      this.#rest = rest.subarray(at);
      return;
    }
    this.#rest = undefined;
    if (this.#isLast) this.#end();
    else this.#call.resumeBody();
  }

  /** @returns where it stopped for want of room. */
  #take(bytes: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end) {
      if (!this.#bulk.hasRoom) return at;
      const found = bytes.indexOf(LF, at);
      if (found < 0 || found >= end) {
        this.#begin(bytes, at, end);
        return end;
      }
      if (this.#begunBytes === 0) this.#line(bytes, at, found);
      else {
        this.#begin(bytes, at, found);
        this.#complete();
      }
      at = found + 1;
    }
    return end;
  }

  #begin(bytes: Buffer, start: number, end: number): void {
    this.#begunBytes += end - start;
    // What is too long, or finds no room, is counted and not kept.
    const fits = this.#begunBytes <= this.#lineMax && this.#begun.length + end - start === this.#begunBytes;
    if (!fits || !this.#begun.add(bytes, start, end)) this.#begun.release();
  }

  #complete(): void {
    const length = this.#begunBytes;
    const begun = this.#begun.take();
    this.#begunBytes = 0;
    if (begun.length === length) this.#line(begun, 0, length);
    else if (length <= this.#lineMax) this.#bulk.add(NO_ROOM);
    else
      this.#bulk.add(
        new MessageProblem('too-large', `Expected a line of at most ${this.#lineMax} bytes, got ${length}`),
      );
  }

  #line(bytes: Buffer, start: number, end: number): void {
    const line = bytes.toString('utf8', start, end);
    if (line.includes(REPLACED) && !isUtf8(bytes.subarray(start, end))) {
      this.#bulk.add(new MessageProblem('invalid-body', 'Expected a line of UTF-8, got other bytes'));
      return;
    }
    // An empty line, with the CR of some, is no record.
    if (line.length > 1 || line.trim() !== '') this.#bulk.add(readRecord(line, this.#identity));
  }

  #end(): void {
    if (this.#begunBytes > 0) this.#complete();
    this.#bulk.end();
  }
}
