import type { TapFilter, TapMessage, TapRecord } from '../model/admin.ts';
import type { Tap } from '../model/message.ts';
import { pathEnd } from './access-log.ts';
import type { ExchangeRecord, MessageRecord, RequestText } from './exchange.ts';
import type { Lines } from './lines.ts';

/** Two heads of the largest size that is shown, as JSON. */
const ROOM = 256 * 1024;
const PATH_BYTES_MAX = 4096;

/** Shows exchanges to those who watch: a line `id json` for each tap whose filter they pass. Costs nothing while there is none. */
export class Taps {
  readonly #lines: Lines;
  readonly #worker: number;
  readonly #encoder = new TextEncoder();
  #taps: readonly Tap[] = [];

  constructor(worker: number, lines: Lines) {
    this.#worker = worker;
    this.#lines = lines;
  }

  get active(): boolean {
    return this.#taps.length > 0;
  }

  set(taps: readonly Tap[]): void {
    this.#taps = taps;
  }

  write(record: ExchangeRecord, text: RequestText | undefined): void {
    let json = '';
    for (const { id, filter } of this.#taps) {
      if (!passes(filter, record, text) || !this.#lines.begin(ROOM)) continue;
      if (json === '') json = JSON.stringify(this.#show(record, text));
      const { bytes, at } = this.#lines;
      const line = `${id} ${json}\n`;
      const { read, written } = this.#encoder.encodeInto(line, bytes.subarray(at));
      this.#lines.end(read === line.length ? at + written : -1);
    }
  }

  #show(record: ExchangeRecord, text: RequestText | undefined): TapRecord {
    const { durationMs, backend, trace } = record;
    return {
      time: new Date(Date.now() - durationMs).toISOString(),
      worker: this.#worker,
      source: record.source,
      method: textOf(text, 'method'),
      authority: textOf(text, 'authority'),
      path: textOf(text, 'path'),
      backend: backend?.id ?? '',
      rule: record.rule,
      endpoint: record.endpoint,
      status: record.status,
      failure: record.failure,
      detail: record.detail,
      attempts: record.attempts,
      attemptFailures: record.attemptFailures,
      waitedMs: record.waitedMs,
      durationMs,
      upstreamMs: record.upstreamMs,
      requestBytes: record.requestBytes,
      replyBytes: record.replyBytes,
      requestId: text?.idBytes.toString('latin1', text.idStart, text.idEnd) ?? '',
      traceId: trace.sampled ? trace.traceId : '',
      generation: record.generation,
      message: record.message === undefined ? null : messageOf(record.message),
      requestHeaders: text?.headers() ?? [],
      replyHeaders: record.replyHeaders,
    };
  }
}

function messageOf(message: MessageRecord): TapMessage {
  const { operation, destination, stream, sequence, messages, result, consumer, attempt } = message;
  return { operation, destination, stream, sequence, messages, result, consumer, attempt };
}

function textOf(text: RequestText | undefined, part: 'method' | 'authority' | 'path'): string {
  if (text === undefined) return '';
  const start = text[`${part}Start`];
  const end = part === 'path' ? pathEnd(text) : text[`${part}End`];
  return text.bytes.toString('latin1', start, Math.min(end, start + PATH_BYTES_MAX));
}

function passes(filter: TapFilter, record: ExchangeRecord, text: RequestText | undefined): boolean {
  const { service, method, path, status, failedOnly, sample } = filter;
  if (failedOnly === true && !record.failed) return false;
  if (service !== undefined && service !== `${record.backend?.namespace}/${record.backend?.name}`) return false;
  if (status !== undefined && !String(record.status).startsWith(status.replace(/xx$/i, ''))) return false;
  if (method !== undefined && textOf(text, 'method') !== method) return false;
  if (path !== undefined && !textOf(text, 'path').startsWith(path)) return false;
  return sample === undefined || Math.random() < sample;
}
