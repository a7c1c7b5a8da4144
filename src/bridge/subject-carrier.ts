import type { Msg } from '@nats-io/transport-node';
import { shown } from '../lib/shown.ts';
import { parseTemplate, SUBJECT_TEMPLATE, type Template, type TemplateValues } from '../lib/template.ts';
import type { Backend, SubjectTarget } from '../model/snapshot.ts';
import type { Carrier, CarrierOwner, Edits, Head } from '../proxy/http.ts';
import type { MessageRecord } from '../telemetry.ts';
import type { Access } from './access.ts';
import { CarriedCall } from './carried-call.ts';
import { type CloudEvent, eventMedia, readHttpBinary, readStructured } from './cloud-events.ts';
import { type Field, headFields, httpFields, messageHeaders, typed, visible } from './headers.ts';
import type { Cancel, Link, OutgoingMessage, Stored } from './link.ts';
import { messageRecord } from './message-record.ts';
import { MessageProblem } from './problem.ts';

/** Of an answer, where `--timeout-request` is off: every wait has an end. */
const WAIT_MAX_MS = 300_000;
/** The bridge answers before `serve` does: only it knows what became of the message. */
const AHEAD_MS = 500;
const MEMBER_CHARS_MAX = 500;
const NO_EVENT = new Uint8Array();

export interface SubjectCarrierParts {
  readonly link: Link;
  readonly access: Access;
}

/** Carries exchanges to the subjects that serve backends. */
export class SubjectCarriers {
  readonly #parts: SubjectCarrierParts;
  /** Targets live as long as the plan that has them. */
  readonly #templates = new WeakMap<SubjectTarget, Template>();

  constructor(parts: SubjectCarrierParts) {
    this.#parts = parts;
  }

  /** @param replyMs that the answer may take. */
  carrier(backend: Backend, target: SubjectTarget, replyMs: number): Carrier {
    return new SubjectCall({ ...this.#parts, template: this.#template(target) }, backend, target, replyMs);
  }

  #template(target: SubjectTarget): Template {
    const known = this.#templates.get(target);
    if (known !== undefined) return known;
    const template = parseTemplate(target.template, SUBJECT_TEMPLATE);
    if (typeof template === 'string') throw new Error(`Compile let a template pass: ${template}`);
    this.#templates.set(target, template);
    return template;
  }
}

interface SubjectCallParts extends SubjectCarrierParts {
  readonly template: Template;
}

/** An exchange that becomes a message: a request whose reply answers it, or a publish that is answered when it was taken. */
class SubjectCall extends CarriedCall {
  readonly #parts: SubjectCallParts;
  readonly #backend: Backend;
  readonly #target: SubjectTarget;
  readonly #timeoutMs: number;
  readonly #record: MessageRecord;
  /** As an endpoint would get it: without what only led to the Service. */
  #path = '';
  #query = '';
  #cancel: Cancel | undefined = undefined;

  constructor(parts: SubjectCallParts, backend: Backend, target: SubjectTarget, replyMs: number) {
    super();
    this.#parts = parts;
    this.#backend = backend;
    this.#target = target;
    this.#timeoutMs = Math.max(1, Math.min(replyMs, WAIT_MAX_MS));
    this.#record = messageRecord(target.does === 'request' ? 'request' : 'send', target.template, 1);
  }

  override start(owner: CarrierOwner, head: Head, edits: Edits, ended: boolean): void {
    const text = edits.pathPrefix.toString('latin1') + head.text(edits.pathStart, head.targetEnd);
    const question = text.indexOf('?');
    this.#path = question < 0 ? text : text.slice(0, question);
    this.#query = question < 0 ? '' : text.slice(question + 1);
    super.start(owner, head, edits, ended);
  }

  override problem(problem: MessageProblem): void {
    if (!this.isOver) this.#record.result = problem.code;
    super.problem(problem);
  }

  protected begin(): void {
    const { link } = this.#parts;
    this.describe(this.#record);
    const refusal = link.refusal(0);
    if (refusal === undefined) this.body(link.maxPayload, (body) => this.#send(body));
    else this.problem(refusal);
  }

  protected override onOver(answered: boolean): void {
    if (!answered) this.#record.result = 'client-gone';
  }

  #send(body: Buffer): void {
    const message = this.#message(body);
    if (message instanceof MessageProblem) {
      this.problem(message);
      return;
    }
    const { link } = this.#parts;
    const refusal = link.refusal(body.length + (message.headers?.length ?? 0));
    if (refusal !== undefined) {
      this.problem(refusal);
      return;
    }
    const timeoutMs = this.#timeoutMs;
    this.expectReplyWithin(timeoutMs + AHEAD_MS);
    this.onAbort = () => this.#cancel?.();
    if (this.#target.does === 'request')
      this.#cancel = link.request(message, timeoutMs, (problem, reply) => {
        if (problem === undefined) this.#answer(reply!);
        else this.problem(problem);
      });
    else if (this.#target.ack === 'stream')
      this.#cancel = link.store(message, timeoutMs, (problem, stored) => {
        if (problem === undefined) this.#answerStored(stored!);
        else this.problem(problem);
      });
    else
      link.publish(message, 'server', timeoutMs, (problem) => {
        if (problem === undefined) this.reply(202, [], undefined);
        else this.problem(problem);
      });
  }

  #message(body: Buffer): OutgoingMessage | MessageProblem {
    const { template } = this.#parts;
    const subject = template.render(new RequestValues(this, this.#path, body));
    if (subject === undefined) {
      const detail = `Expected one token for each value of ${template.text}, got the path ${shown(this.#path)} and its headers`;
      return new MessageProblem('invalid-subject', detail);
    }
    const { identity } = this.#parts.access.grantsOf(this.source);
    const key = this.header('idempotency-key');
    const extra: Field[] = [
      ['Http-Method', this.head.text(0, this.head.methodEnd)],
      ['Http-Path', this.#path],
    ];
    if (this.#query !== '') extra.push(['Http-Query', this.#query]);
    if (key !== undefined && this.#target.ack === 'stream') extra.push(['Nats-Msg-Id', `${identity}:${key}`]);
    const headers = messageHeaders(this.head, {
      identity,
      trace: this.trace,
      // What a Service's owner wrote lets the message pass, and that names no headers of the server.
      grant: { policy: this.#backend.id, allowsHeader: () => false },
      extra,
      timeoutMs: this.#target.does === 'request' ? this.#timeoutMs : undefined,
    });
    return headers instanceof MessageProblem ? headers : { subject, headers, body };
  }

  #answer({ headers, data }: Msg): void {
    const fields = httpFields(headers);
    const status = statusOf(headers);
    if (fields instanceof MessageProblem) this.problem(fields);
    else if (status instanceof MessageProblem) this.problem(status);
    else {
      // RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5: these have no content.
      const empty = status === 204 || status === 205 || status === 304;
      this.reply(status, empty || data.length === 0 ? fields : typed(fields), empty ? undefined : data);
    }
  }

  #answerStored({ stream, sequence, duplicate }: Stored): void {
    const fields: Field[] = [
      ['nats-stream', visible(stream)],
      ['nats-sequence', String(sequence)],
    ];
    if (duplicate) fields.push(['nats-duplicate', 'true']);
    this.#record.stream = stream;
    this.#record.sequence = sequence;
    this.reply(duplicate ? 200 : 201, fields, undefined);
  }
}

/** What a service says of its answer: `Http-Status`, where it speaks HTTP; an error of its own (ADR-32) is no HTTP status. */
function statusOf(headers: Msg['headers']): number | MessageProblem {
  const status = firstOf(headers, 'http-status');
  if (/^[2-5]\d\d$/.test(status)) return Number(status);
  if (status !== '')
    return new MessageProblem('bad-reply', `Expected Http-Status to be from 200 to 599, got ${shown(status)}`);
  const code = firstOf(headers, 'nats-service-error-code');
  if (code === '') return 200;
  const error = firstOf(headers, 'nats-service-error');
  const members = {
    service_error_code: code.slice(0, MEMBER_CHARS_MAX),
    service_error: error.slice(0, MEMBER_CHARS_MAX),
  };
  return new MessageProblem('bad-reply', `The service answered with an error of its own: ${shown(code)}`, members);
}

/** Names of headers have a case in NATS, but not everybody writes the same. Empty: absent. */
function firstOf(headers: Msg['headers'], name: string): string {
  for (const [field, values] of headers ?? []) if (field.toLowerCase() === name) return values[0] ?? '';
  return '';
}

/** What a request fills a template with. */
class RequestValues implements TemplateValues {
  readonly #call: CarriedCall;
  readonly #segments: readonly string[];
  readonly #body: Buffer;
  /** Read when it is asked for. */
  #event: CloudEvent | MessageProblem | undefined = undefined;

  constructor(call: CarriedCall, path: string, body: Buffer) {
    this.#call = call;
    this.#segments = path.split('/').slice(1);
    this.#body = body;
  }

  token(_root: 'subject' | 'path', index: number): string | undefined {
    const segment = this.#segments[index];
    return segment === undefined ? undefined : decoded(segment);
  }

  named(root: 'header' | 'ce', name: string): string | undefined {
    if (root === 'header') return this.#call.header(name);
    this.#event ??= this.#readEvent();
    return this.#event instanceof MessageProblem ? undefined : this.#event.attributes.get(name);
  }

  #readEvent(): CloudEvent | MessageProblem {
    const type = this.#call.header('content-type') ?? '';
    if (eventMedia(type) !== undefined) return readStructured(this.#body, type);
    return readHttpBinary(headFields(this.#call.head), NO_EVENT);
  }
}

/** Once; what cannot be decoded is no token. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return '';
  }
}
