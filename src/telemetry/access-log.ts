import type { AccessLogField, Settings } from '../model/settings.ts';
import type { ExchangeRecord, RequestText } from './exchange.ts';
import { JsonWriter } from './json-writer.ts';
import type { Lines } from './lines.ts';

/** Of any line but a hostile one. */
const ROOM = 8 * 1024;
/** More of a path, a query or a name says nothing, and whoever sends it must not fill the log. */
const TEXT_BYTES_MAX = 1024;
const QUESTION = 63;

const BEGIN = Buffer.from('{"log":"access"');
const END = Buffer.from('}\n');
const QUOTE = Buffer.from('"');

type Write = (out: JsonWriter, record: ExchangeRecord, text: RequestText | undefined) => void;

/**
 * One line of JSON for an exchange, as bytes. Field names are those of the settings; what is not known is left out. The path is
 * without its query, which may hold secrets, unless `query` is asked for.
 */
export class AccessLog {
  readonly #lines: Lines;
  readonly #share: Settings['accessLog'];
  readonly #fields: readonly { readonly key: Buffer; readonly write: Write }[];
  readonly #out = new JsonWriter();
  #count = 0;

  constructor(
    { accessLog, accessLogFields }: Pick<Settings, 'accessLog' | 'accessLogFields'>,
    worker: number,
    lines: Lines,
  ) {
    this.#lines = lines;
    this.#share = accessLog;
    const writers = { ...WRITERS, worker: number(() => worker) };
    this.#fields = accessLogFields.map((name) => ({ key: Buffer.from(`,"${name}":`), write: writers[name] }));
  }

  /** Asked once for each exchange. */
  wants(record: ExchangeRecord): boolean {
    if (this.#share === 'off') return false;
    if (record.failed || this.#share === 1) return true;
    if (this.#share === 'errors') return false;
    this.#count = (this.#count + 1) % this.#share;
    return this.#count === 0;
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
    for (const { key, write } of this.#fields) {
      const mark = out.mark();
      out.put(key);
      const value = out.mark();
      write(out, record, text);
      // Nothing is known of it.
      if (out.mark() === value) out.back(mark);
    }
    out.put(END);
    return out.close();
  }
}

const WRITERS: Readonly<Record<Exclude<AccessLogField, 'worker'>, Write>> = {
  time: number(({ durationMs }) => Math.round(Date.now() - durationMs)),
  service: string(({ backend }) => backend?.id ?? ''),
  endpoint: string(({ endpoint }) => endpoint),
  method: bytes(
    ({ methodStart }) => methodStart,
    ({ methodEnd }) => methodEnd,
  ),
  path: bytes(({ pathStart }) => pathStart, pathEnd),
  status: number(({ status }) => status),
  failure: string(({ failure }) => failure),
  durationMs: milliseconds(({ durationMs }) => durationMs),
  upstreamMs: milliseconds(({ upstreamMs }) => upstreamMs),
  attempts: number(({ attempts }) => attempts),
  requestBytes: number(({ requestBytes }) => requestBytes),
  replyBytes: number(({ replyBytes }) => replyBytes),
  source: string(({ source }) => source),
  requestId: (out, _, text) => {
    if (text !== undefined) quoted(out, text.idBytes, text.idStart, text.idEnd);
  },
  traceId: string(({ trace }) => (trace.sampled ? trace.traceId : '')),
  generation: number(({ generation }) => generation),
  authority: bytes(
    ({ authorityStart }) => authorityStart,
    ({ authorityEnd }) => authorityEnd,
  ),
  query: bytes(
    (text) => Math.min(pathEnd(text) + 1, text.pathEnd),
    (text) => text.pathEnd,
  ),
  detail: string(({ detail }) => detail),
};

/** Where the path ends and its query begins, if it has one. */
export function pathEnd({ bytes: source, pathStart, pathEnd: end }: RequestText): number {
  for (let at = pathStart; at < end; at++) if (source[at] === QUESTION) return at;
  return end;
}

function number(read: (record: ExchangeRecord) => number): Write {
  return (out, record) => {
    out.integer(read(record));
  };
}

function milliseconds(read: (record: ExchangeRecord) => number): Write {
  return (out, record) => {
    out.milliseconds(read(record));
  };
}

function string(read: (record: ExchangeRecord) => string): Write {
  return (out, record) => {
    const value = read(record);
    if (value === '') return;
    out.put(QUOTE);
    out.text(value.length > TEXT_BYTES_MAX ? value.slice(0, TEXT_BYTES_MAX) : value);
    out.put(QUOTE);
  };
}

function bytes(from: (text: RequestText) => number, to: (text: RequestText) => number): Write {
  return (out, _, text) => {
    if (text === undefined) return;
    quoted(out, text.bytes, from(text), to(text));
  };
}

function quoted(out: JsonWriter, source: Uint8Array, start: number, end: number): void {
  if (end <= start) return;
  out.put(QUOTE);
  out.bytes(source, start, Math.min(end, start + TEXT_BYTES_MAX));
  out.put(QUOTE);
}
