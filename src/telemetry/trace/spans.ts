import type { FailureCode } from '../../model/failure.ts';
import { CLIENT_AT, PARENT_AT, SERVER_AT, SPAN_DIGITS, TRACE_AT, TRACE_DIGITS, TraceContext } from './context.ts';
import type { MessageRecord } from '../exchange.ts';
import { JsonWriter } from '../json-writer.ts';

/** What the spans of one exchange tell. Times are `performance.now()` of this thread; offsets are into `head`. */
export interface SpanRecord {
  readonly context: TraceContext;
  /** First byte of the request, and last of the reply. */
  readonly startMs: number;
  readonly endMs: number;
  /** Bytes of the request's head. */
  readonly head: Buffer;
  readonly methodStart: number;
  readonly methodEnd: number;
  /** The path, with or without its query; empty where the target has none. */
  readonly pathStart: number;
  readonly pathEnd: number;
  /** `host` or `host:port`; empty when there was none. */
  readonly authorityStart: number;
  readonly authorityEnd: number;
  /** Of the request: 0 or 1 for HTTP/1.0 and HTTP/1.1. */
  readonly minor: number;
  /** Whom the request came from. */
  readonly clientAddress: string;
  /** Undefined: it failed before one was known, or the mesh answered. */
  readonly backend: { readonly namespace: string; readonly name: string; readonly port: number } | undefined;
  /** What decided about it; empty: no rule. */
  readonly rule: string;
  /** What the client got: 0 when no reply went out. */
  readonly status: number;
  readonly failure: FailureCode | undefined;
  readonly requestBytes: number;
  readonly replyBytes: number;
  /** Of an exchange that is about a message. */
  readonly message: MessageRecord | undefined;
  /** In order; more may stand there than count. */
  readonly attempts: readonly AttemptRecord[];
  readonly attemptCount: number;
}

export interface AttemptRecord {
  readonly startMs: number;
  readonly endMs: number;
  /** The endpoint. */
  readonly address: string;
  readonly port: number;
  /** What the endpoint answered: 0 when nothing. */
  readonly status: number;
  readonly failure: FailureCode | undefined;
}

// More says nothing, and a client could make spans as large as it likes.
const PATH_BYTES_MAX = 1024;
const HOST_BYTES_MAX = 255;
const METHOD_BYTES_MAX = 64;
const NAME_MAX = 256;

/** semconv, http.request.method: every other one is `_OTHER`. */
const KNOWN_METHODS = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'TRACE']);

// OTLP, Span.flags: trace-flags, whether the parent is known to be remote or not, and whether it is.
const PARENT_KNOWN = 0x100;
const PARENT_REMOTE = 0x200;

const json = (text: string): Buffer => Buffer.from(text, 'latin1');
// Numbers are quoted too, as 64-bit ones have to be in JSON (proto3), so that every attribute ends alike.
const first = (key: string): Buffer => json(`{"key":"${key}","value":{"stringValue":"`);
const string = (key: string): Buffer => json(`"}},{"key":"${key}","value":{"stringValue":"`);
const int = (key: string): Buffer => json(`"}},{"key":"${key}","value":{"intValue":"`);

const SPAN = {
  begin: json('{"traceId":"'),
  id: json('","spanId":"'),
  parent: json('","parentSpanId":"'),
  flags: json('","flags":'),
  server: json(',"kind":2,"name":"'),
  client: json(',"kind":3,"name":"'),
  producer: json(',"kind":4,"name":"'),
  consumer: json(',"kind":5,"name":"'),
  start: json('","startTimeUnixNano":"'),
  end: json('","endTimeUnixNano":"'),
  attributes: json('","attributes":['),
  attributesEnd: json('"}}]'),
  links: json(',"links":[{"traceId":"'),
  linksEnd: json('"}]'),
  events: json(',"events":['),
  event: json('{"name":"heddle.attempt","timeUnixNano":"'),
  error: json(',"status":{"code":2}'),
  close: json('}'),
  closeList: json(']'),
  comma: json(','),
};

/** Names of OpenTelemetry's semantic conventions for HTTP and messaging spans; what they have no name for is `heddle.…`. */
const KEY = {
  method: first('http.request.method'),
  methodOriginal: string('http.request.method_original'),
  scheme: string('url.scheme'),
  path: string('url.path'),
  full: string('url.full'),
  serverAddress: string('server.address'),
  serverPort: int('server.port'),
  clientAddress: string('client.address'),
  peerAddress: string('network.peer.address'),
  firstPeerAddress: first('network.peer.address'),
  peerPort: int('network.peer.port'),
  version: string('network.protocol.version'),
  status: int('http.response.status_code'),
  requestSize: int('http.request.body.size'),
  replySize: int('http.response.body.size'),
  resends: int('http.request.resend_count'),
  errorType: string('error.type'),
  namespace: string('heddle.service.namespace'),
  service: string('heddle.service.name'),
  servicePort: int('heddle.service.port'),
  rule: string('heddle.rule'),
  failure: string('heddle.failure'),
  messagingSystem: string('messaging.system'),
  firstMessagingSystem: first('messaging.system'),
  operationType: string('messaging.operation.type'),
  operationName: string('messaging.operation.name'),
  destination: string('messaging.destination.template'),
  messageId: string('messaging.message.id'),
  consumerGroup: string('messaging.consumer.group.name'),
  messageCount: int('messaging.batch.message_count'),
  deliveryAttempt: int('heddle.delivery.attempt'),
  durationMicros: int('heddle.attempt.duration_us'),
};
const URL_START = json('http://');

const MESSAGING_SYSTEM = 'nats';
/** semconv, messaging.operation.type: it has no others. */
const OPERATION_TYPES: Readonly<Record<MessageRecord['operation'], string>> = {
  send: 'send',
  request: 'send',
  receive: 'receive',
  process: 'process',
  settle: 'settle',
  kv: '',
};

/** Serve the thread: used within one call only. */
const producer = new TraceContext();
const out = new JsonWriter();

/** How many spans `encodeSpans` writes: there is one for the other leg, where there is one. */
export function spanCount(record: SpanRecord): number {
  return legOf(record) === 'none' ? 1 : 2;
}

/** Where the exchange went on to: without an attempt nowhere, and neither where the bridge answered without a message. */
function legOf({ message, attempts, attemptCount }: SpanRecord): 'none' | 'endpoint' | 'broker' {
  if (attemptCount === 0) return 'none';
  if (message !== undefined && !isDelivery(message)) return 'broker';
  return attempts[0]!.address === '' ? 'none' : 'endpoint';
}

/**
 * Writes the spans of an exchange as OTLP JSON, with a comma between them and nothing around: one of kind SERVER, and below it
 * one of kind CLIENT for the leg to the endpoint, with an event for each attempt. The conventions would rather have a client span
 * for each attempt; but the endpoint gets the id of its parent with the request, and a client that retries wants to see one leg.
 * A delivery is of kind CONSUMER in place of SERVER, with a link to who sent the message (a parent would make one trace of all
 * that follows from it); where the other leg is a message, its span is of kind PRODUCER, or CLIENT where something comes back.
 * @returns the offset behind them, or -1 when the room might not be enough; 32 KiB are, for sixteen attempts.
 */
export function encodeSpans(record: SpanRecord, target: Uint8Array, at: number): number {
  const { head, methodStart, methodEnd } = record;
  const method = head.toString('latin1', methodStart, Math.min(methodEnd, methodStart + METHOD_BYTES_MAX));
  const originMs = unixOriginMs();
  out.open(target, at);
  writeServerSpan(record, method, originMs);
  const leg = legOf(record);
  if (leg !== 'none') out.put(SPAN.comma);
  if (leg === 'endpoint') writeClientSpan(record, method, originMs);
  if (leg === 'broker') writeMessageSpan(record, record.message!, originMs);
  return out.close();
}

function writeServerSpan(record: SpanRecord, method: string, originMs: number): void {
  const { context, status, failure, backend, rule, message } = record;
  const delivery = message !== undefined && isDelivery(message) ? message : undefined;
  writeIds(context, SERVER_AT, context.remote ? PARENT_AT : -1);
  out.integer(context.flags | PARENT_KNOWN | (context.remote ? PARENT_REMOTE : 0));
  out.put(delivery === undefined ? SPAN.server : SPAN.consumer);
  writeName(delivery === undefined ? nameOf(method) : messageName(delivery), record.startMs, record.endMs, originMs);
  writeMethod(method);
  attribute(KEY.scheme, 'http');
  out.put(KEY.path);
  out.bytes(record.head, record.pathStart, pathEnd(record));
  writeAuthority(record);
  if (record.clientAddress !== '') attribute(KEY.clientAddress, record.clientAddress);
  attribute(KEY.version, record.minor === 0 ? '1.0' : '1.1');
  if (status > 0) number(KEY.status, status);
  number(KEY.requestSize, record.requestBytes);
  number(KEY.replySize, record.replyBytes);
  if (backend !== undefined) {
    attribute(KEY.namespace, backend.namespace);
    attribute(KEY.service, backend.name);
    number(KEY.servicePort, backend.port);
  }
  if (rule !== '') attribute(KEY.rule, rule.slice(0, NAME_MAX));
  if (failure !== undefined) attribute(KEY.failure, failure);
  if (delivery !== undefined) {
    attribute(KEY.messagingSystem, MESSAGING_SYSTEM);
    writeMessage(delivery);
  }
  const error = delivery === undefined ? isServerError(record) : delivery.result !== 'ok';
  if (error) attribute(KEY.errorType, failure ?? String(status));
  out.put(SPAN.attributesEnd);
  if (delivery !== undefined) writeLink(delivery.producer);
  if (error) out.put(SPAN.error);
  out.put(SPAN.close);
}

/** semconv: of a server a 4xx is no error, whoever made it; a reply that broke off is one, whatever it began with. */
function isServerError({ status, failure }: SpanRecord): boolean {
  const refused = status >= 400 && status < 500;
  return status >= 500 || (failure !== undefined && !refused);
}

/** The leg to the broker. */
function writeMessageSpan(
  { context, attempts, attemptCount }: SpanRecord,
  message: MessageRecord,
  originMs: number,
): void {
  writeIds(context, CLIENT_AT, SERVER_AT);
  out.integer(context.flags | PARENT_KNOWN);
  out.put(message.operation === 'send' ? SPAN.producer : SPAN.client);
  writeName(messageName(message), attempts[0]!.startMs, attempts[attemptCount - 1]!.endMs, originMs);
  out.put(KEY.firstMessagingSystem);
  out.text(MESSAGING_SYSTEM);
  writeMessage(message);
  const error = message.result !== 'ok';
  if (error) attribute(KEY.errorType, message.result);
  out.put(SPAN.attributesEnd);
  if (error) out.put(SPAN.error);
  out.put(SPAN.close);
}

function writeMessage(message: MessageRecord): void {
  const { operation, destination, stream, sequence, messages, consumer, attempt } = message;
  const type = OPERATION_TYPES[operation];
  if (type !== '') attribute(KEY.operationType, type);
  attribute(KEY.operationName, operation);
  if (destination !== '') attribute(KEY.destination, destination.slice(0, NAME_MAX));
  if (sequence > 0) attribute(KEY.messageId, `${stream.slice(0, NAME_MAX)}:${sequence}`);
  if (consumer !== '') attribute(KEY.consumerGroup, consumer.slice(0, NAME_MAX));
  // semconv: only where it is about more than one.
  if (messages !== 1) number(KEY.messageCount, messages);
  if (attempt > 0) number(KEY.deliveryAttempt, attempt);
}

/** What a publisher wrote may be anything. */
function writeLink(traceparent: string): void {
  const value = Buffer.from(traceparent.slice(0, NAME_MAX), 'latin1');
  if (!producer.parse(value, 0, value.length)) return;
  out.put(SPAN.links);
  out.raw(producer.bytes, TRACE_AT, TRACE_AT + TRACE_DIGITS);
  out.put(SPAN.id);
  out.raw(producer.bytes, PARENT_AT, PARENT_AT + SPAN_DIGITS);
  out.put(SPAN.linksEnd);
}

function isDelivery({ operation }: MessageRecord): boolean {
  return operation === 'process';
}

/** semconv: the operation and what it is done to, where that is known. Subjects are no names: there would be too many. */
function messageName({ operation, destination }: MessageRecord): string {
  return destination === '' ? operation : `${operation} ${destination.slice(0, NAME_MAX)}`;
}

function writeClientSpan(record: SpanRecord, method: string, originMs: number): void {
  const { context, attempts, attemptCount } = record;
  const last = attempts[attemptCount - 1]!;
  writeIds(context, CLIENT_AT, SERVER_AT);
  out.integer(context.flags | PARENT_KNOWN);
  out.put(SPAN.client);
  writeName(nameOf(method), attempts[0]!.startMs, last.endMs, originMs);
  writeMethod(method);
  writeUrl(record, last);
  attribute(KEY.serverAddress, last.address);
  number(KEY.serverPort, last.port);
  attribute(KEY.peerAddress, last.address);
  number(KEY.peerPort, last.port);
  attribute(KEY.version, '1.1');
  if (attemptCount > 1) number(KEY.resends, attemptCount - 1);
  const error = writeResult(last);
  out.put(SPAN.attributesEnd);
  out.put(SPAN.events);
  for (let index = 0; index < attemptCount; index++) {
    if (index > 0) out.put(SPAN.comma);
    writeAttempt(attempts[index]!, index, originMs);
  }
  out.put(SPAN.closeList);
  if (error) out.put(SPAN.error);
  out.put(SPAN.close);
}

function writeAttempt(attempt: AttemptRecord, index: number, originMs: number): void {
  out.put(SPAN.event);
  out.nanos(attempt.startMs + originMs);
  out.put(SPAN.attributes);
  out.put(KEY.firstPeerAddress);
  out.text(attempt.address);
  number(KEY.peerPort, attempt.port);
  number(KEY.durationMicros, Math.round((attempt.endMs - attempt.startMs) * 1000));
  if (index > 0) number(KEY.resends, index);
  writeResult(attempt);
  out.put(SPAN.attributesEnd);
  out.put(SPAN.close);
}

/** @returns whether it is an error: of a client a 4xx is one too. */
function writeResult({ status, failure }: AttemptRecord): boolean {
  if (status > 0) number(KEY.status, status);
  const error = failure !== undefined || status >= 400;
  if (error) attribute(KEY.errorType, failure ?? String(status));
  return error;
}

function writeIds({ bytes }: TraceContext, spanAt: number, parentAt: number): void {
  out.put(SPAN.begin);
  out.raw(bytes, TRACE_AT, TRACE_AT + TRACE_DIGITS);
  out.put(SPAN.id);
  out.raw(bytes, spanAt, spanAt + SPAN_DIGITS);
  if (parentAt >= 0) {
    out.put(SPAN.parent);
    out.raw(bytes, parentAt, parentAt + SPAN_DIGITS);
  }
  out.put(SPAN.flags);
}

/** Paths are no names: there would be too many (semconv). */
function nameOf(method: string): string {
  return KNOWN_METHODS.has(method) ? method : 'HTTP';
}

/** From the name to where attributes begin. */
function writeName(name: string, startMs: number, endMs: number, originMs: number): void {
  out.text(name);
  out.put(SPAN.start);
  out.nanos(startMs + originMs);
  out.put(SPAN.end);
  out.nanos(endMs + originMs);
  out.put(SPAN.attributes);
}

/** The first attribute of an HTTP span. */
function writeMethod(method: string): void {
  const known = KNOWN_METHODS.has(method);
  out.put(KEY.method);
  out.text(known ? method : '_OTHER');
  if (!known) attribute(KEY.methodOriginal, method);
}

/** Host and port that the client addressed. */
function writeAuthority({ head, authorityStart, authorityEnd }: SpanRecord): void {
  if (authorityStart === authorityEnd) return;
  let port = 0;
  let digit = 1;
  let at = authorityEnd;
  for (; at > authorityStart && head[at - 1]! >= 48 && head[at - 1]! <= 57 && digit < 1e6; at--) {
    port += (head[at - 1]! - 48) * digit;
    digit *= 10;
  }
  // Without a colon before them the digits belong to the host.
  const hasPort = digit > 1 && at > authorityStart && head[at - 1] === 58;
  const hostEnd = Math.min(hasPort ? at - 1 : authorityEnd, authorityStart + HOST_BYTES_MAX);
  const v6 = head[authorityStart] === 91 && head[hostEnd - 1] === 93; // in brackets
  out.put(KEY.serverAddress);
  out.bytes(head, v6 ? authorityStart + 1 : authorityStart, v6 ? hostEnd - 1 : hostEnd);
  number(KEY.serverPort, hasPort ? port : 80);
}

/** Where the request went, with the path as the client named it. */
function writeUrl(record: SpanRecord, { address, port }: AttemptRecord): void {
  const { head, pathStart } = record;
  const v6 = address.includes(':');
  out.put(KEY.full);
  out.put(URL_START);
  out.text(v6 ? `[${address}]` : address);
  out.text(':');
  out.integer(port);
  const end = pathEnd(record);
  if (end > pathStart && head[pathStart] === 47) out.bytes(head, pathStart, end);
}

/** Where the path ends without its query, which may hold secrets. */
function pathEnd({ head, pathStart, pathEnd: end }: SpanRecord): number {
  const stop = Math.min(end, pathStart + PATH_BYTES_MAX);
  let at = pathStart;
  while (at < stop && head[at] !== 63) at++;
  return at;
}

function attribute(key: Buffer, value: string): void {
  out.put(key);
  out.text(value);
}

function number(key: Buffer, value: number): void {
  out.put(key);
  out.integer(value);
}

/** A step of the clock beyond this is taken over; below it, spans of one thread stay in order. */
const STEP_MS = 100;
let lastOriginMs = performance.timeOrigin;

/** What to add to `performance.now()` for the time of day: a constant until the clock is set, or the machine slept. */
function unixOriginMs(): number {
  const originMs = Date.now() - performance.now();
  if (Math.abs(originMs - lastOriginMs) > STEP_MS) lastOriginMs = originMs;
  return lastOriginMs;
}
