import { shown } from '../lib/shown.ts';
import { POLICY_HEADERS } from '../model/snapshot.ts';
import type { TraceContext } from '../telemetry.ts';
import type { Head } from '../proxy/http.ts';
import type { Grant } from './access.ts';
import { contentTypeOf } from './cloud-events.ts';
import { HeaderBlock } from './header-block.ts';
import { MessageProblem } from './problem.ts';

/** A header field of HTTP. */
export type Field = readonly [name: string, value: string];

/** How often a message may come through the mesh, and the header that counts it: in HTTP and in NATS. */
export const HOPS_MAX = 16;
export const HOPS = 'heddle-hops';

/** With what a reply adds to them they fit into the 64 of a head of our own. */
const FIELDS_MAX = 48;
const FIELDS_BYTES_MAX = 16 * 1024;

/** Names of a message that say nothing to an HTTP client, or would frame or route a reply or a delivery. */
const NOT_FOR_HTTP: ReadonlySet<string> = new Set([
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'date',
  'expect',
  'forwarded',
  'host',
  'http-method',
  'http-path',
  'http-query',
  'http-status',
  'http2-settings',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
]);
const FAMILIES_NOT_FOR_HTTP = ['heddle-', 'kv-', 'l5d-', 'nats-', 'proxy-', 'x-forwarded-', 'x-heddle-'] as const;

/**
 * Names of a request that say nothing about its message: they frame, authenticate, negotiate or are for the bridge itself.
 * What stands under `Nats-` or `KV-` steers the server past its own permissions (a schedule writes to any subject, a roll-up
 * purges a stream): of these only what a policy names is ever set. Those that only the bridge may set are not taken either.
 */
const NOT_FOR_MESSAGES: ReadonlySet<string> = new Set([
  ...NOT_FOR_HTTP,
  'alt-used',
  'cache-control',
  'dnt',
  'idempotency-key',
  'last-event-id',
  'max-forwards',
  'origin',
  'pragma',
  'prefer',
  'priority',
  'range',
  'referer',
  'user-agent',
  'x-real-ip',
  // Of the status line of a NATS message, in the header maps of some clients.
  'status',
  'description',
]);
const FAMILIES_NOT_FOR_MESSAGES = [...FAMILIES_NOT_FOR_HTTP, 'accept', 'access-control-', 'if-', 'sec-'] as const;

const POLICY_NAMES: ReadonlyMap<string, string> = new Map(POLICY_HEADERS.map((name) => [name, canonical(name)]));

/** Of the families that are not for HTTP, what receivers may know: who sent it, its id, and what a service said went wrong (ADR-32). */
const FOR_HTTP_ALL_THE_SAME: ReadonlySet<string> = new Set([
  'heddle-source',
  HOPS,
  'nats-msg-id',
  'nats-service-error',
  'nats-service-error-code',
]);
/** What a dead letter was, for the Service that gets it. */
const DEAD_LETTER = 'heddle-dead-letter-';

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
const DIGITS = /^\d{1,3}$/;
const TRACEPARENT_VALUE_START = 'traceparent: '.length;
const CRLF_LENGTH = 2;
const LINE_BYTES = 80;
const line = Buffer.allocUnsafeSlow(LINE_BYTES);

/** All fields of a request, lower-case. */
export function headFields(head: Head): readonly Field[] {
  return Array.from({ length: head.count }, (_, index) => [head.name(index), head.value(index)]);
}

/** What goes into a message beside the fields of its request. */
export interface MessageFacts {
  /** Who sends it. */
  readonly identity: string;
  /** Undefined: tracing is off, and what the client sent goes on. */
  readonly trace: TraceContext | undefined;
  readonly grant: Pick<Grant, 'allowsHeader' | 'policy'>;
  /** In place of what the request says under these names. */
  readonly extra: readonly Field[];
  /** That are left for an answer; undefined: none is waited for. */
  readonly timeoutMs: number | undefined;
}

/** The header block of a message that a request becomes, or why it cannot become one. */
export function messageHeaders(head: Head, facts: MessageFacts): Buffer | MessageProblem {
  const block = new HeaderBlock();
  const own = new Set(facts.extra.map(([name]) => name.toLowerCase()));
  const { trace } = facts;
  const ownTrace = trace !== undefined && !(trace.remote && !trace.sampled);
  if (ownTrace) own.add('traceparent');
  // Without a valid parent the list of others belongs to no trace.
  if (trace !== undefined && !trace.remote) own.add('tracestate');
  const nominated = head.nominated > 0 ? head.nominations() : undefined;
  for (let index = 0; index < head.count; index++) {
    const name = head.name(index);
    if (own.has(name) || nominated?.has(name) === true) continue;
    const verdict = judge(name, facts.grant);
    if (verdict === 'drop') continue;
    if (verdict !== 'pass') return verdict;
    const value = head.value(index);
    if (!block.add(writtenName(name, head, index), value)) return unfit(name, value);
  }
  if (ownTrace) block.add('traceparent', traceparentOf(trace));
  return finish(block, facts, hopsOf(head));
}

/** The same for a message of a bulk, whose headers stand in its record, or that is an event. */
export function recordHeaders(
  fields: readonly Field[],
  hops: number | MessageProblem,
  facts: Omit<MessageFacts, 'timeoutMs'>,
): Buffer | MessageProblem {
  const block = new HeaderBlock();
  for (const [name, value] of fields) {
    const verdict = TOKEN.test(name) ? judge(name.toLowerCase(), facts.grant) : 'drop';
    if (verdict instanceof MessageProblem) return verdict;
    // A record names its headers on purpose: nothing of it is left out without a word.
    if (verdict === 'drop')
      return new MessageProblem('invalid-header', `Expected a header that may be set, got ${shown(name)}`);
    if (!block.add(POLICY_NAMES.get(name.toLowerCase()) ?? name, value)) return unfit(name, value);
  }
  const { trace } = facts;
  const isTraced = trace !== undefined && !(trace.remote && !trace.sampled);
  // A record may belong to a trace of its own.
  if (isTraced && !fields.some(([name]) => name.toLowerCase() === 'traceparent'))
    block.add('traceparent', traceparentOf(trace));
  return finish(block, { ...facts, timeoutMs: undefined }, hops);
}

function finish(
  block: HeaderBlock,
  { identity, extra, timeoutMs }: Pick<MessageFacts, 'identity' | 'extra' | 'timeoutMs'>,
  hops: number | MessageProblem,
): Buffer | MessageProblem {
  if (hops instanceof MessageProblem) return hops;
  for (const [name, value] of extra) if (!block.add(name, value)) return unfit(name, value);
  block.add('heddle-source', identity);
  block.add(HOPS, String(hops));
  if (timeoutMs !== undefined) block.add('heddle-timeout-ms', String(Math.floor(timeoutMs)));
  return (
    block.bytes() ?? new MessageProblem('invalid-header', 'Expected headers that fit into a message, got too many')
  );
}

/** May this field (lower-case) go into a message? */
function judge(name: string, grant: MessageFacts['grant']): 'pass' | 'drop' | MessageProblem {
  if (POLICY_NAMES.has(name)) {
    if (grant.allowsHeader(name)) return 'pass';
    const detail = `Expected no ${name}: NatsPolicy ${grant.policy} would have to name it in spec.headers`;
    return new MessageProblem('not-allowed', detail, { policy: grant.policy });
  }
  // An underscore is a hyphen to some (CGI), so that a name with one could be any other.
  if (NOT_FOR_MESSAGES.has(name) || name.includes('_')) return 'drop';
  return FAMILIES_NOT_FOR_MESSAGES.some((family) => name.startsWith(family)) ? 'drop' : 'pass';
}

/** Names of messages have a case, those of HTTP have none: the ones that others look for are written as they look for them. */
function writtenName(name: string, head: Head, index: number): string {
  if (name.startsWith('ce-') || name.startsWith('trace') || name === 'baggage') return name;
  if (name.startsWith('content-') || name.startsWith('nats-')) return POLICY_NAMES.get(name) ?? canonical(name);
  return head.nameAsSent(index);
}

/** `content-type` is `Content-Type`; the server knows `Nats-TTL`. */
function canonical(name: string): string {
  if (name === 'nats-ttl') return 'Nats-TTL';
  return name.replaceAll(/(?:^|-)[a-z]/g, (start) => start.toUpperCase());
}

/** How often a message of this request will have come through the mesh. What is no count does not count: a liar harms himself. */
export function hopsOf(head: Head): number | MessageProblem {
  let hops = 1;
  for (let index = 0; index < head.count; index++) {
    if (head.name(index) !== HOPS) continue;
    const value = head.value(index);
    if (DIGITS.test(value)) hops = Math.max(hops, Number(value) + 1);
  }
  if (hops <= HOPS_MAX) return hops;
  return new MessageProblem('loop', `Expected a message that came through the mesh at most ${HOPS_MAX} times`);
}

function traceparentOf(trace: TraceContext): string {
  const end = trace.writeHeader(line, 0);
  return line.toString('latin1', TRACEPARENT_VALUE_START, end - CRLF_LENGTH);
}

function unfit(name: string, value: string): MessageProblem {
  return new MessageProblem('invalid-header', `Expected visible ASCII in ${shown(name)}, got ${shown(value)}`);
}

/**
 * What of a message's headers an HTTP reply or a delivery has, lower-case. Values of other encodings go as the bytes that they are;
 * those of CloudEvents attributes are percent-encoded (HTTP binding 3.1.3.2). What could end a field line is a `bad-reply`.
 */
export function httpFields(
  headers: Iterable<readonly [name: string, values: readonly string[]]> | undefined,
): readonly Field[] | MessageProblem {
  const fields: Field[] = [];
  let bytes = 0;
  let eventType: string | undefined;
  for (const [name, values] of headers ?? []) {
    const lower = name.toLowerCase();
    if (!TOKEN.test(name)) return new MessageProblem('bad-reply', `Expected the name of a header, got ${shown(name)}`);
    if (!isForHttp(lower)) continue;
    // HTTP binding 3.1.1: what NATS has there stands in Content-Type, and must not stand in both.
    if (lower === 'ce-datacontenttype') {
      eventType = contentTypeOf(values[0] ?? '');
      continue;
    }
    for (const value of values) {
      // RFC 9110 section 8.3: there is one type, or none, in however many cases and lines it is written.
      if (lower === 'content-type' && fields.some(([known]) => known === lower)) break;
      if (CONTROL.test(value))
        return new MessageProblem('bad-reply', `Expected no control characters in ${lower}, got ${shown(value)}`);
      const written = lower.startsWith('ce-')
        ? visible(value).replaceAll('"', '%22')
        : Buffer.from(value).toString('latin1');
      fields.push([lower, written]);
      bytes += lower.length + written.length;
    }
    if (fields.length > FIELDS_MAX || bytes > FIELDS_BYTES_MAX)
      return new MessageProblem(
        'bad-reply',
        `Expected at most ${FIELDS_MAX} headers of ${FIELDS_BYTES_MAX} bytes, got more`,
      );
  }
  if (eventType !== undefined && !fields.some(([name]) => name === 'content-type'))
    fields.push(['content-type', eventType]);
  return fields;
}

/** Fields of a reply, which has a type in any case: a message may be anything. */
export function typed(fields: readonly Field[]): readonly Field[] {
  if (fields.some(([name]) => name === 'content-type')) return fields;
  return [['content-type', 'application/octet-stream'], ...fields];
}

function isForHttp(name: string): boolean {
  if (FOR_HTTP_ALL_THE_SAME.has(name) || name.startsWith(DEAD_LETTER)) return true;
  return !NOT_FOR_HTTP.has(name) && !FAMILIES_NOT_FOR_HTTP.some((family) => name.startsWith(family));
}

/** As a field value: a subject or a name may have anything in it where others than we made it. */
export function visible(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/gu, percentEncoded);
}

function percentEncoded(character: string): string {
  return [...Buffer.from(character)].map((octet) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
