import type { AccessLogField, Settings } from '../model/settings.ts';
import type { ExchangeRecord, MessageRecord, RequestText } from './exchange.ts';
import { JsonWriter } from './json-writer.ts';
import type { Lines } from './lines.ts';

/** Of any line but a hostile one. */
const ROOM = 8 * 1024;
/** More of a path, a query or a name says nothing, and whoever sends it must not fill the log. */
const TEXT_BYTES_MAX = 1024;
const QUESTION = 63;

const BEGIN = Buffer.from('{"log":"access"');
const END = Buffer.from('}\n');

/** Those of a message: left out of a line about none. */
type MessageField =
  | 'operation'
  | 'destination'
  | 'stream'
  | 'sequence'
  | 'messages'
  | 'result'
  | 'consumer'
  | 'attempt';

/** A field of the line: which one, and what stands before its value. */
interface Field {
  readonly name: AccessLogField;
  readonly key: Buffer;
}

/** Their values are numbers; all others are text, with the opening quote in the key. */
const NUMBERS: ReadonlySet<AccessLogField> = new Set([
  'time',
  'status',
  'durationMs',
  'upstreamMs',
  'attempts',
  'waitedMs',
  'requestBytes',
  'replyBytes',
  'generation',
  'worker',
  'sequence',
  'messages',
  'attempt',
]);

/**
 * One line of JSON for an exchange, as bytes. Field names are those of the settings; what is not known is left out. The path is
 * without its query, which may hold secrets, unless `query` is asked for.
 */
export class AccessLog {
  readonly #lines: Lines;
  readonly #share: Settings['accessLog'];
  readonly #fields: readonly Field[];
  readonly #worker: number;
  readonly #out = new JsonWriter();
  #count = 0;

  constructor(
    { accessLog, accessLogFields }: Pick<Settings, 'accessLog' | 'accessLogFields'>,
    worker: number,
    lines: Lines,
  ) {
    this.#lines = lines;
    this.#share = accessLog;
    this.#worker = worker;
    this.#fields = accessLogFields.map((name) => ({
      name,
      key: Buffer.from(NUMBERS.has(name) ? `,"${name}":` : `,"${name}":"`),
    }));
  }

  /** Asked once for each exchange. */
  wants(record: ExchangeRecord): boolean {
    const share = record.accessLog ?? this.#share;
    if (share === 'off') return false;
    if (record.failed || share === 1) return true;
    if (share === 'errors') return false;
    this.#count++;
    return this.#count % share === 0;
  }

  write(record: ExchangeRecord, text: RequestText | undefined): void {
    const lines = this.#lines;
    if (!lines.begin(ROOM)) return;
    let end = this.#put(record, text);
    // Nobody can keep his line out of the log by its length: it gets a buffer of its own.
    if (end < 0 && lines.at > 0) {
      lines.flush();
      if (!lines.begin(ROOM)) return;
      end = this.#put(record, text);
    }
    lines.end(end);
  }

  /** @returns the offset behind the line, or -1 where it does not fit. */
  #put(record: ExchangeRecord, text: RequestText | undefined): number {
    const out = this.#out;
    out.open(this.#lines.bytes, this.#lines.at);
    out.put(BEGIN);
    for (const field of this.#fields) this.#putField(field, record, text);
    out.put(END);
    return out.close();
  }

  /** One switch over all fields instead of a function for each: sixteen calls to unknown functions cost as much as the line. */
  #putField({ name, key }: Field, record: ExchangeRecord, text: RequestText | undefined): void {
    const out = this.#out;
    switch (name) {
      case 'time':
        return out.keyInteger(key, Math.round(Date.now() - record.durationMs));
      case 'service':
        return this.#putText(key, record.backend?.id ?? '');
      case 'rule':
        return this.#putText(key, record.rule);
      case 'endpoint':
        return this.#putText(key, record.endpoint);
      case 'method':
        return this.#putBytes(key, text?.bytes, text?.methodStart, text?.methodEnd);
      case 'path':
        return this.#putBytes(key, text?.bytes, text?.pathStart, text && pathEnd(text));
      case 'query':
        return this.#putBytes(key, text?.bytes, text && pathEnd(text) + 1, text?.pathEnd);
      case 'authority':
        return this.#putBytes(key, text?.bytes, text?.authorityStart, text?.authorityEnd);
      case 'requestId':
        return this.#putBytes(key, text?.idBytes, text?.idStart, text?.idEnd);
      case 'status':
        return out.keyInteger(key, record.status);
      case 'failure':
        return this.#putText(key, record.failure);
      case 'detail':
        return this.#putText(key, record.detail);
      case 'durationMs':
        return out.keyMilliseconds(key, record.durationMs);
      case 'upstreamMs':
        return out.keyMilliseconds(key, record.upstreamMs);
      case 'attempts':
        return out.keyInteger(key, record.attempts);
      case 'attemptFailures':
        return this.#putText(key, record.attemptFailures);
      case 'waitedMs':
        return record.waitedMs === 0 ? undefined : out.keyMilliseconds(key, record.waitedMs);
      case 'requestBytes':
        return out.keyInteger(key, record.requestBytes);
      case 'replyBytes':
        return out.keyInteger(key, record.replyBytes);
      case 'source':
        return this.#putText(key, record.source);
      case 'traceId':
        return this.#putText(key, record.trace.sampled ? record.trace.traceId : '');
      case 'generation':
        return out.keyInteger(key, record.generation);
      case 'worker':
        return out.keyInteger(key, this.#worker);
      case 'operation':
      case 'destination':
      case 'stream':
      case 'sequence':
      case 'messages':
      case 'result':
      case 'consumer':
      case 'attempt':
        return this.#putMessageField(name, key, record.message);
    }
  }

  #putMessageField(name: MessageField, key: Buffer, message: MessageRecord | undefined): void {
    if (message === undefined) return;
    const value = message[name];
    if (typeof value === 'string') this.#putText(key, value);
    // 0 is what is not known.
    else if (value > 0) this.#out.keyInteger(key, value);
  }

  /** What is not known is left out. */
  #putText(key: Buffer, value: string): void {
    if (value === '') return;
    this.#out.put(key);
    this.#out.text(value.length > TEXT_BYTES_MAX ? value.slice(0, TEXT_BYTES_MAX) : value);
    this.#out.quote();
  }

  #putBytes(key: Buffer, bytes: Buffer | undefined, start = 0, end = 0): void {
    if (bytes === undefined || end <= start) return;
    this.#out.put(key);
    this.#out.bytes(bytes, start, Math.min(end, start + TEXT_BYTES_MAX));
    this.#out.quote();
  }
}

/** Where the path ends and its query begins, if it has one. */
export function pathEnd({ bytes: source, pathStart, pathEnd: end }: RequestText): number {
  for (let at = pathStart; at < end; at++) if (source[at] === QUESTION) return at;
  return end;
}
