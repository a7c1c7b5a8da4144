import type { AccessLog } from './access-log.ts';
import { type ExchangeObserver, ExchangeRecord, type RequestText } from './exchange.ts';
import type { Lines } from './lines.ts';
import type { Taps } from './taps.ts';
import { encodeSpans, spanCount, type SpanRecord } from './trace.ts';

/** Two spans, with paths and names as long as they may be. */
const SPANS_ROOM = 32 * 1024;
const COMMA = 44;

const PROBE: RequestText = {
  bytes: Buffer.from('GET/trace-probe'),
  minor: 1,
  methodStart: 0,
  methodEnd: 3,
  pathStart: 3,
  pathEnd: 15,
  authorityStart: 15,
  authorityEnd: 15,
  idBytes: Buffer.alloc(0),
  idStart: 0,
  idEnd: 0,
  headers: () => [],
};

/** What a worker does with the record of each exchange: a line in the access log, its spans, a look for those who watch. */
export class Observer implements ExchangeObserver {
  readonly #log: AccessLog;
  readonly #taps: Taps;
  readonly #spans: Lines | undefined;
  #logs = false;

  /** @param spans undefined: tracing is off. */
  constructor(log: AccessLog, taps: Taps, spans: Lines | undefined) {
    this.#log = log;
    this.#taps = taps;
    this.#spans = spans;
  }

  get traces(): boolean {
    return this.#spans !== undefined;
  }

  get watched(): boolean {
    return this.#taps.active;
  }

  wants(record: ExchangeRecord): boolean {
    this.#logs = this.#log.wants(record);
    return this.#logs || record.trace.sampled || this.#taps.active;
  }

  onExchange(record: ExchangeRecord, text: RequestText | undefined): void {
    if (this.#logs) this.#log.write(record, text);
    if (record.trace.sampled && text !== undefined) this.#trace(record, text);
    if (this.#taps.active) this.#taps.write(record, text);
  }

  /** Sends a span of this trace (32 hexadecimal digits) on the way that all spans take. */
  probe(traceId: string): void {
    const record = new ExchangeRecord();
    const parent = Buffer.from(`00-${traceId}-${traceId.slice(0, 16)}-01`);
    record.trace.parse(parent, 0, parent.length);
    record.startMs = performance.now();
    record.endMs = record.startMs;
    record.status = 200;
    this.#trace(record, PROBE);
    this.#spans?.flush();
  }

  #trace(record: ExchangeRecord, text: RequestText): void {
    const spans = this.#spans;
    if (spans === undefined || !spans.begin(SPANS_ROOM)) return;
    const { bytes } = spans;
    const start = spans.at === 0 ? 0 : spans.at + 1;
    const span = spanOf(record, text);
    const end = encodeSpans(span, bytes, start);
    if (start > 0 && end > 0) bytes[start - 1] = COMMA;
    spans.end(end, spanCount(span));
  }
}

/** Sampled exchanges are few, so that an object for each is cheap. */
function spanOf(record: ExchangeRecord, text: RequestText): SpanRecord {
  const {
    trace,
    startMs,
    endMs,
    source,
    backend,
    rule,
    status,
    failure,
    requestBytes,
    replyBytes,
    message,
    attemptList,
  } = record;
  return {
    head: text.bytes,
    minor: text.minor,
    methodStart: text.methodStart,
    methodEnd: text.methodEnd,
    pathStart: text.pathStart,
    pathEnd: text.pathEnd,
    authorityStart: text.authorityStart,
    authorityEnd: text.authorityEnd,
    context: trace,
    startMs,
    endMs,
    clientAddress: source,
    backend,
    rule,
    status,
    failure: failure === '' ? undefined : failure,
    requestBytes,
    replyBytes,
    message,
    attempts: attemptList,
    attemptCount: attemptList.length,
  };
}
