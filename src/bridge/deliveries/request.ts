import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import { randomUUID } from 'node:crypto';
import { bufferOf } from '../../lib/buffer-of.ts';
import { parseTemplate, type Template, type TemplateValues } from '../../lib/template.ts';
import type { Subscription } from '../../model/snapshot.ts';
import {
  feedHead,
  type Head,
  type HeadLimits,
  type HeadPool,
  PARSE_MORE,
  PARSE_REFUSED,
  startRequest,
} from '../../proxy/http.ts';
import {
  type CloudEvent,
  isMediaType,
  matchesFilters,
  readNats,
  STRUCTURED_MEDIA,
  writeHttpBinary,
  writeStructured,
} from '../cloud-events.ts';
import { type Field, HOPS, HOPS_MAX, httpFields, visible } from '../headers.ts';
import { MessageProblem } from '../problem.ts';

/** What a request is made of. */
export interface DeliveredMessage {
  readonly message: Msg;
  /** Empty, 0, 0: of no stream. */
  readonly stream: string;
  readonly sequence: number;
  readonly storedMs: number;
  readonly attempt: number;
}

export type Written =
  | {
      readonly type: 'request';
      readonly head: Head;
      readonly body: Buffer;
      /** The traceparent of whoever sent the message; empty: none. */
      readonly producer: string;
    }
  /** No filter of the subscription matches. */
  | { readonly type: 'unmatched' }
  /** It goes round in circles: as a dead letter it would go on doing so. */
  | { readonly type: 'looping'; readonly reason: string }
  /** No attempt would ever succeed. */
  | { readonly type: 'impossible'; readonly reason: string };

/** Fields of a head of ours, at most: 64 of the message, its event's and our own. */
export const FIELDS_MAX = 128;
const HEAD_LIMITS: HeadLimits = { head: 64 * 1024, headers: FIELDS_MAX, url: 8192 };
type HeaderLines = readonly [name: string, values: string[]];
const UNMATCHED: Written = { type: 'unmatched' };
const PATH_GRAMMAR = { allowed: ['subject', 'header', 'ce'], separator: '/' } as const;
const NONE: readonly HeaderLines[] = [];
/** What we say ourselves, and what the codec says. */
const OURS: ReadonlySet<string> = new Set([
  'heddle-attempt',
  'webhook-id',
  'nats-subject',
  'nats-stream',
  'nats-sequence',
  'content-length',
  'host',
]);

const scratch = Buffer.allocUnsafeSlow(HEAD_LIMITS.head);

/** Makes requests of the messages of one subscription. */
export class RequestWriter {
  readonly #subscription: Subscription;
  readonly #heads: HeadPool;
  readonly #traces: boolean;
  /** Of the path; undefined: it is the same for all messages, and so is the start of their requests. */
  readonly #path: Template | undefined;
  readonly #start: string | undefined;

  /** @param traces the mesh continues no trace but links to it: else whoever sent the message is the parent. */
  constructor(subscription: Subscription, heads: HeadPool, traces: boolean) {
    this.#subscription = subscription;
    this.#heads = heads;
    this.#traces = traces;
    const { path } = subscription;
    const parsed = path.includes('{') ? parseTemplate(path, PATH_GRAMMAR) : undefined;
    // Compile has let only templates pass; what is none is a path like any other.
    this.#path = typeof parsed === 'string' ? undefined : parsed;
    this.#start = this.#path === undefined ? this.#startOf(path) : undefined;
  }

  write(delivered: DeliveredMessage): Written {
    const headers = headersOf(delivered.message);
    if (headers instanceof Error)
      return { type: 'impossible', reason: `Its headers cannot be read: ${headers.message}` };
    const { filters, content } = this.#subscription;
    const data = bufferOf(delivered.message.data);
    const hops = Number(headers?.get(HOPS) ?? '0');
    if (hops > HOPS_MAX) return { type: 'looping', reason: `It went through the mesh ${hops} times` };
    const read = readNats(headers ?? NONE, data);
    // An event in a format that we do not read may go on as it is (HTTP binding section 3), to whoever asked for no more.
    const asItIs = filters.length === 0 && content === 'binary';
    if (read instanceof MessageProblem && !(asItIs && read.code === 'unsupported-media-type'))
      return { type: 'impossible', reason: read.detail };
    const event = read instanceof MessageProblem ? undefined : read;
    if (filters.length > 0 && (event === undefined || !matchesFilters(event, filters))) return UNMATCHED;
    const fields = httpFields(this.#passing(headers, event !== undefined || content === 'structured'));
    if (fields instanceof MessageProblem) return { type: 'impossible', reason: fields.detail };
    if (content === 'structured') {
      const body = writeStructured(event ?? eventOf(delivered, headers, data));
      return this.#compose(delivered, headers, [...fields, ['content-type', STRUCTURED_MEDIA]], body, event);
    }
    if (event === undefined) return this.#compose(delivered, headers, fields, data, undefined);
    const binary = writeHttpBinary(event);
    return this.#compose(delivered, headers, [...fields, ...binary.fields], bufferOf(binary.body), event);
  }

  /** @param eventful content-type and attributes are those of the event. */
  #passing(headers: MsgHdrs | undefined, eventful: boolean): readonly HeaderLines[] {
    return [...(headers ?? NONE)].filter(([anyCase]) => {
      const name = anyCase.toLowerCase();
      if (OURS.has(name)) return false;
      if (this.#traces && (name === 'traceparent' || name === 'tracestate')) return false;
      return !eventful || !(name.startsWith('ce-') || name === 'content-type');
    });
  }

  #compose(
    delivered: DeliveredMessage,
    headers: MsgHdrs | undefined,
    fields: readonly Field[],
    body: Buffer,
    event: CloudEvent | undefined,
  ): Written {
    const { message, stream, sequence, attempt } = delivered;
    const start = this.#start ?? this.#startFor(message.subject, headers, event);
    if (start === undefined) {
      const reason = `Expected values for ${this.#subscription.path} that are one segment each, got others, or none`;
      return { type: 'impossible', reason };
    }
    let text = `${start}content-length: ${body.length}\r\nnats-subject: ${visible(message.subject)}\r\n`;
    if (sequence > 0) text += `nats-stream: ${visible(stream)}\r\nnats-sequence: ${sequence}\r\n`;
    const id = event?.attributes.get('id') ?? (sequence > 0 ? `${stream}:${sequence}` : undefined);
    text += `heddle-attempt: ${attempt}\r\n`;
    if (id !== undefined) text += `webhook-id: ${visible(id)}\r\n`;
    for (const [name, value] of fields) text += `${name}: ${value}\r\n`;
    return this.#parse(`${text}\r\n`, body, headers);
  }

  #parse(text: string, body: Buffer, headers: MsgHdrs | undefined): Written {
    if (text.length > scratch.length) return { type: 'impossible', reason: 'Its headers are too long for a request' };
    const length = scratch.write(text, 'latin1');
    const head = this.#heads.take();
    startRequest(head);
    const after = feedHead(head, scratch, 0, length, HEAD_LIMITS);
    if (after === PARSE_REFUSED || after === PARSE_MORE || after !== length) {
      const { detail } = head;
      this.#heads.give(head);
      return { type: 'impossible', reason: `It makes no request: ${detail}` };
    }
    head.keep();
    return { type: 'request', head, body, producer: this.#traces ? traceparentOf(headers) : '' };
  }

  #startFor(subject: string, headers: MsgHdrs | undefined, event: CloudEvent | undefined): string | undefined {
    const path = this.#path?.render(new MessageValues(subject, headers, event));
    return path === undefined ? undefined : this.#startOf(path);
  }

  #startOf(path: string): string {
    return `POST ${path} HTTP/1.1\r\nhost: ${this.#subscription.authority}\r\n`;
  }
}

class MessageValues implements TemplateValues {
  readonly #tokens: readonly string[];
  readonly #headers: MsgHdrs | undefined;
  readonly #event: CloudEvent | undefined;

  constructor(subject: string, headers: MsgHdrs | undefined, event: CloudEvent | undefined) {
    this.#tokens = subject.split('.');
    this.#headers = headers;
    this.#event = event;
  }

  token(_: 'subject' | 'path', index: number): string | undefined {
    return this.#tokens[index];
  }

  named(root: 'header' | 'ce', name: string): string | undefined {
    if (root === 'ce') return this.#event?.attributes.get(name);
    // Names are case-sensitive in NATS (ADR-4), but not in a template.
    const found = this.#headers?.keys().find((key) => key.toLowerCase() === name);
    return found === undefined ? undefined : this.#headers?.get(found);
  }
}

/** A message that is no event, as one (CloudEvents 1.0 section 3.1). */
function eventOf(delivered: DeliveredMessage, headers: MsgHdrs | undefined, data: Buffer): CloudEvent {
  const { message, stream, sequence, storedMs } = delivered;
  const stored = sequence > 0;
  const type = headers?.get('Content-Type') || headers?.get('content-type') || '';
  const attributes = new Map([
    ['specversion', '1.0'],
    ['id', stored ? `${stream}:${sequence}` : randomUUID()],
    ['source', stored ? `nats:${stream}` : 'nats:core'],
    ['type', 'dev.heddle.message'],
    ['subject', visible(message.subject)],
    ['datacontenttype', isMediaType(type) ? type : 'application/octet-stream'],
  ]);
  if (stored) attributes.set('time', new Date(storedMs).toISOString());
  return { attributes, data };
}

/** The client reads the headers of a message when they are asked for, and throws where they are none. */
export function headersOf(message: Msg): MsgHdrs | undefined | Error {
  try {
    return message.headers;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Others may write the name in another case (ADR-4). Of several values none counts, as in HTTP. Empty: none. */
function traceparentOf(headers: MsgHdrs | undefined): string {
  const [value = '', ...others] = headers?.values('traceparent', 'insensitive') ?? [];
  return others.length === 0 ? value : '';
}
