import { Backoff } from '../lib/backoff.ts';
import type { Log } from '../telemetry.ts';
import { envelope, pack, testSpan } from './exporter/payload.ts';
import { type Outcome, Sender, type Stage } from './exporter/sender.ts';

/** Everything that is waited for or kept has an end. */
export const EXPORT_LIMITS = {
  /** Waiting batches, and their bytes together with those under way. */
  batches: 4096,
  bytes: 8 * 1024 * 1024,
  /** Spans of one request, about: batches stay whole. */
  spansPerRequest: 512,
  /** How long spans wait for company. */
  gatherMs: 1000,
  requestMs: 10_000,
  retryFirstMs: 1000,
  retryMaxMs: 15_000,
  /** A request that is refused for so long is given up. */
  giveUpMs: 60_000,
  /** More is not believed. */
  retryAfterMaxMs: 300_000,
};

/** The log says once in a while that something is wrong, not for each request. */
const QUIET_MS = 60_000;

export interface ExporterOptions {
  /** See `tracesUrl`. */
  readonly endpoint: URL;
  /** Attributes of the process: `service.name`, `service.version`, `service.instance.id`, … */
  readonly resource: Readonly<Record<string, string>>;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly limits?: typeof EXPORT_LIMITS;
}

/** Spans by what became of them. */
export interface ExportTotals {
  /** Taken by the receiver. */
  readonly exported: number;
  /** Thrown away by us: too many waited, or the process ended. */
  readonly dropped: number;
  /** Refused by the receiver, whole or in part, or given up after many tries. */
  readonly failed: number;
  /** What waits or is under way, in bytes. */
  readonly queuedBytes: number;
  /** Empty when nothing went wrong yet. */
  readonly lastError: string;
}

/** How far a test span came, and that in words. */
export interface Probe {
  readonly ok: boolean;
  readonly stage: Stage | 'refused' | 'rejected' | 'accepted';
  readonly text: string;
}

interface Batch {
  readonly bytes: Uint8Array;
  readonly spans: number;
}

/**
 * Sends spans to an OpenTelemetry receiver as OTLP/HTTP JSON: one request at a time, gathered for a second or until there are
 * enough. A receiver that is slow or away costs a bounded amount of memory and then spans, never traffic.
 */
export class Exporter {
  readonly #endpoint: string;
  readonly #prefix: Buffer;
  readonly #sender: Sender;
  readonly #log: Pick<Log, 'info' | 'warn'>;
  readonly #limits: typeof EXPORT_LIMITS;
  readonly #backoff: Backoff;
  readonly #cancel = new AbortController();
  #waiting: Batch[] = [];
  #waitingSpans = 0;
  #gathering: NodeJS.Timeout | undefined = undefined;
  #running: Promise<void> | undefined = undefined;
  #wake: () => void = () => {};
  #notBeforeMs = 0;
  #closing = false;
  #exported = 0;
  #dropped = 0;
  #failed = 0;
  #queuedBytes = 0;
  #lastError = '';
  #quietUntilMs = 0;
  #warned = false;

  constructor({ endpoint, resource, log, limits = EXPORT_LIMITS }: ExporterOptions) {
    const url = tracesUrl(endpoint);
    this.#endpoint = `${url.origin}${url.pathname}`; // without what it may hold of a password
    this.#prefix = envelope(resource);
    this.#sender = new Sender({
      url,
      userAgent: `heddle/${resource['service.version'] ?? '0'}`,
      timeoutMs: limits.requestMs,
    });
    this.#log = log;
    this.#limits = limits;
    this.#backoff = new Backoff(limits.retryFirstMs, limits.retryMaxMs);
  }

  get totals(): ExportTotals {
    return {
      exported: this.#exported,
      dropped: this.#dropped,
      failed: this.#failed,
      queuedBytes: this.#queuedBytes,
      lastError: this.#lastError,
    };
  }

  /** Spans as `encodeSpans` writes them, with commas between. The bytes are kept, not copied. */
  take(bytes: Uint8Array, spans: number): void {
    const { batches, bytes: bytesMax, spansPerRequest, gatherMs } = this.#limits;
    const full = this.#waiting.length >= batches || this.#queuedBytes + bytes.length > bytesMax;
    if (full || this.#closing) {
      this.#dropped += spans;
      if (full) this.#complain(`${this.#endpoint} takes spans more slowly than they come`);
      return;
    }
    this.#waiting.push({ bytes, spans });
    this.#waitingSpans += spans;
    this.#queuedBytes += bytes.length;
    if (this.#running !== undefined) return;
    if (this.#waitingSpans >= spansPerRequest) this.#start();
    else this.#gathering ??= setTimeout(() => this.#start(), gatherMs).unref();
  }

  /** Sends what waits, for so many milliseconds at most. */
  async close(deadlineMs: number): Promise<void> {
    this.#closing = true;
    this.#notBeforeMs = 0;
    this.#wake();
    if (this.#running === undefined && this.#waiting.length > 0) this.#start();
    const deadline = setTimeout(() => {
      this.#cancel.abort();
      this.#wake();
    }, deadlineMs);
    await this.#running;
    clearTimeout(deadline);
    this.#dropped += this.#waitingSpans;
    this.#waiting = [];
    this.#waitingSpans = 0;
    this.#queuedBytes = 0;
    this.#sender.close();
  }

  /** Sends one test span at once, and tells what became of it. */
  async probe(traceId: string): Promise<Probe> {
    const { body, encoding } = await pack(this.#prefix, [testSpan(traceId)]);
    const outcome = await this.#sender.post(body, encoding, this.#cancel.signal);
    if (outcome.type === 'unreachable') return { ok: false, stage: outcome.stage, text: outcome.text };
    if (outcome.type === 'refused') return { ok: false, stage: 'refused', text: outcome.text };
    const { rejected, message } = outcome;
    if (rejected > 0) {
      const reason = message === '' ? 'without a reason' : `because ${message}`;
      return { ok: false, stage: 'rejected', text: `${this.#endpoint} answered, but threw the span away ${reason}` };
    }
    const remark = message === '' ? '' : `, and remarked ${message}`;
    return { ok: true, stage: 'accepted', text: `${this.#endpoint} accepted the span${remark}` };
  }

  #start(): void {
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { spansPerRequest, gatherMs } = this.#limits;
    do await this.#deliver(this.#next());
    while (!this.#cancel.signal.aborted && this.#waitingSpans >= (this.#closing ? 1 : spansPerRequest));
    this.#running = undefined;
    if (this.#waiting.length > 0 && !this.#closing) this.#gathering = setTimeout(() => this.#start(), gatherMs).unref();
  }

  /** Takes batches for one request: at least one, then as many as fit. */
  #next(): readonly Batch[] {
    let count = 0;
    let spans = 0;
    for (const batch of this.#waiting) {
      if (count > 0 && spans + batch.spans > this.#limits.spansPerRequest) break;
      count++;
      spans += batch.spans;
    }
    this.#waitingSpans -= spans;
    return this.#waiting.splice(0, count);
  }

  /** One request, again and again until it is taken, refused for good, or too old. */
  async #deliver(batches: readonly Batch[]): Promise<void> {
    const { giveUpMs } = this.#limits;
    const spans = batches.reduce((sum, batch) => sum + batch.spans, 0);
    const bytes = batches.reduce((sum, batch) => sum + batch.bytes.length, 0);
    const { body, encoding } = await pack(
      this.#prefix,
      batches.map((batch) => batch.bytes),
    );
    const { signal } = this.#cancel;
    const giveUpAtMs = performance.now() + giveUpMs;
    for (;;) {
      await this.#pause();
      const outcome = await this.#sender.post(body, encoding, signal);
      if (!this.#mayRepeat(outcome) || this.#notBeforeMs > giveUpAtMs || signal.aborted) {
        this.#settle(outcome, spans);
        break;
      }
    }
    this.#queuedBytes -= bytes;
  }

  /** When a request may be repeated, the time is set before which nothing is sent. */
  #mayRepeat(outcome: Outcome): boolean {
    if (outcome.type === 'accepted' || (outcome.type === 'refused' && !outcome.retry)) return false;
    this.#complain(outcome.text);
    const nowMs = performance.now();
    const asked = outcome.type === 'refused' ? Math.min(outcome.retryAfterMs, this.#limits.retryAfterMaxMs) : 0;
    // Spread, so that the nodes of a cluster do not come back all at once.
    const waitMs = asked > 0 ? asked : this.#backoff.next(nowMs) * (0.5 + Math.random());
    this.#notBeforeMs = nowMs + waitMs;
    return true;
  }

  #settle(outcome: Outcome, spans: number): void {
    if (outcome.type !== 'accepted') {
      this.#failed += spans;
      this.#complain(outcome.text);
      return;
    }
    const rejected = Math.min(outcome.rejected, spans);
    this.#exported += spans - rejected;
    this.#failed += rejected;
    if (rejected > 0 || outcome.message !== '') {
      this.#complain(`${this.#endpoint} rejected ${rejected} of ${spans} spans: ${outcome.message}`);
    } else if (this.#warned) {
      this.#warned = false;
      this.#log.info({ endpoint: this.#endpoint }, 'Traces are exported again');
    }
  }

  /** Waits until the next request may go out; `close` cuts it short. */
  async #pause(): Promise<void> {
    const waitMs = this.#notBeforeMs - performance.now();
    if (waitMs <= 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, waitMs).unref();
    this.#wake = resolve;
    await promise;
    clearTimeout(timer);
  }

  #complain(text: string): void {
    this.#lastError = text;
    const nowMs = performance.now();
    if (nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = nowMs + QUIET_MS;
    this.#warned = true;
    this.#log.warn({ endpoint: this.#endpoint, reason: text }, 'Traces are not exported, or not all of them');
  }
}

/**
 * Where traces go. An endpoint without a path of its own means the receiver, and gets `/v1/traces`
 * (as OTEL_EXPORTER_OTLP_ENDPOINT does); one with a path is taken as it is (as OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is).
 */
export function tracesUrl(endpoint: URL): URL {
  return endpoint.pathname === '/' ? new URL(`/v1/traces${endpoint.search}`, endpoint) : endpoint;
}
