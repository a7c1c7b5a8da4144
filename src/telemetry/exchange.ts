import { FAILURES, type FailureCode } from '../model/failure.ts';
import type { FrontendPolicy } from '../model/routing.ts';
import { type Backend, type Endpoint, endpointKey } from '../model/snapshot.ts';
import { type AttemptRecord, TraceContext } from './trace.ts';

/** Header lines, for those who watch. */
export type HeaderList = readonly (readonly [name: string, value: string])[];
export const NO_HEADERS: HeaderList = [];
/** As many attempts as an exchange may have: one, and ten retries. Connections found dead may add to them. */
const FAILURES_SHOWN = 11;

/** Text of a request, as ranges of bytes. */
export interface RequestText {
  readonly bytes: Buffer;
  /** HTTP/1.minor */
  readonly minor: number;
  readonly methodStart: number;
  readonly methodEnd: number;
  /** Path with query. */
  readonly pathStart: number;
  readonly pathEnd: number;
  readonly authorityStart: number;
  readonly authorityEnd: number;
  /** May stand in other bytes. */
  readonly idBytes: Buffer;
  readonly idStart: number;
  readonly idEnd: number;
  headers(): HeaderList;
}

/** What is known of the message of an exchange. Subjects are nowhere in it: they may hold what is nobody's business. */
export interface MessageRecord {
  /** OpenTelemetry's names of what is done with it; `send` and `request` are the producer's. */
  readonly operation: 'send' | 'request' | 'receive' | 'process' | 'settle' | 'kv';
  /** What let it pass: a policy, a template, a subscription. Bounded in number. */
  readonly destination: string;
  /** Stream and sequence, once it is stored; empty, 0: not known. */
  stream: string;
  sequence: number;
  /** How many messages it is about. */
  messages: number;
  /** `ok`, or the code of the problem. */
  result: string;
  /** Of a delivery: the one of the consumer, and which attempt it is. */
  readonly consumer: string;
  readonly attempt: number;
  /** Of a delivery: the traceparent of whoever sent the message, to link to; empty: none. */
  readonly producer: string;
}

/** Where an attempt was made; an empty address: as a message. */
type AttemptEndpoint = Pick<Endpoint, 'address' | 'port'>;

/**
 * What is known of one exchange: written while it runs, read when it has ended by metrics, access log, spans and taps. There is
 * one for each exchange under way; it is used again for the next. Times are `performance.now()` milliseconds.
 */
export class ExchangeRecord {
  readonly trace = new TraceContext();
  startMs = 0;
  endMs = 0;
  /** Of the plan that it began under. */
  generation = 0;
  source = '';
  backend: Backend | undefined = undefined;
  /** What decided about it: `HTTPRoute shop/orders rules[1]`; empty: no rule. */
  rule = '';
  /** What the Service's owner wants to read of it; undefined: what the settings say. */
  accessLog: FrontendPolicy['accessLog'] = undefined;
  /** The endpoint of the last attempt. */
  endpoint = '';
  attempts = 0;
  /** For a place at the backend. */
  waitedMs = 0;
  /** From the start of the last attempt to its reply head; 0: none came. */
  upstreamMs = 0;
  /** 0: no reply was given. */
  status = 0;
  failure: FailureCode | '' = '';
  detail = '';
  /** Payload only. */
  requestBytes = 0;
  replyBytes = 0;
  /** Of an exchange that is about a message: a call of the bridge's API, a subject that serves, a delivery. */
  message: MessageRecord | undefined = undefined;
  /** How each attempt went; filled for traced exchanges. */
  attemptList: AttemptRecord[] = [];
  /** Filled while somebody watches. */
  replyHeaders: HeaderList = NO_HEADERS;
  /** Where the last reply head came from, and its status: whether that attempt came to nothing shows later. */
  #repliedBy: AttemptEndpoint | undefined = undefined;
  #repliedStatus = 0;
  /** Why attempts came to nothing; text is made only where one did. */
  #attemptFailures = '';
  #failuresShown = 0;

  /** Ready for the next exchange: nothing of one client may show in the record of another. */
  reset(): void {
    this.startMs = 0;
    this.endMs = 0;
    this.generation = 0;
    this.source = '';
    this.backend = undefined;
    this.rule = '';
    this.accessLog = undefined;
    this.endpoint = '';
    this.attempts = 0;
    this.waitedMs = 0;
    this.upstreamMs = 0;
    this.status = 0;
    this.failure = '';
    this.detail = '';
    this.requestBytes = 0;
    this.replyBytes = 0;
    this.message = undefined;
    this.trace.clear();
    if (this.attemptList.length > 0) this.attemptList = [];
    this.replyHeaders = NO_HEADERS;
    this.#repliedBy = undefined;
    this.#repliedStatus = 0;
    this.#attemptFailures = '';
    this.#failuresShown = 0;
  }

  get durationMs(): number {
    return this.endMs - this.startMs;
  }

  /** A mesh failure, a status from 500 on, or a message that did not get where it should. */
  get failed(): boolean {
    return this.failure !== '' || this.status >= 500 || (this.message !== undefined && this.message.result !== 'ok');
  }

  /** How an attempt went: it failed, or the head of its reply is here. @param status of its reply; 0: none. */
  attempt(endpoint: AttemptEndpoint, startMs: number, status: number, failure: FailureCode | undefined): void {
    // Whoever goes on to another attempt does not pass on what this one said.
    this.#discardReply();
    if (failure === undefined) {
      this.#repliedBy = endpoint;
      this.#repliedStatus = status;
    } else this.#noteFailure(failure, endpoint);
    if (!this.trace.sampled) return;
    const { address, port } = endpoint;
    this.attemptList.push({ address, port, startMs, endMs: performance.now(), status, failure });
  }

  /** The last attempt had a reply, which broke off. */
  spoilAttempt(failure: FailureCode): void {
    if (this.#repliedBy !== undefined) this.#noteFailure(failure, this.#repliedBy);
    this.#repliedBy = undefined;
    const last = this.attemptList.pop();
    if (last !== undefined) this.attemptList.push({ ...last, endMs: performance.now(), failure });
  }

  /**
   * Why attempts came to nothing, in order: `connect-failed@10.1.2.3:80 503@10.1.2.4:80`. A reply that was passed on is not among
   * them. For when the exchange is over.
   */
  get attemptFailures(): string {
    if (this.#repliedStatus !== this.status) this.#discardReply();
    return this.#attemptFailures;
  }

  #discardReply(): void {
    if (this.#repliedBy !== undefined) this.#noteAttempt(String(this.#repliedStatus), this.#repliedBy);
    this.#repliedBy = undefined;
  }

  /** What its client did is no failure of an attempt. */
  #noteFailure(failure: FailureCode, endpoint: AttemptEndpoint): void {
    if (FAILURES[failure].source !== 'downstream') this.#noteAttempt(failure, endpoint);
  }

  #noteAttempt(what: string, endpoint: AttemptEndpoint): void {
    if (this.#failuresShown === FAILURES_SHOWN) return;
    this.#failuresShown++;
    const gap = this.#attemptFailures === '' ? '' : ' ';
    this.#attemptFailures += `${gap}${what}${endpoint.address === '' ? '' : `@${endpointKey(endpoint)}`}`;
  }

  /** The first failure is the one that tells. */
  fail(failure: FailureCode, detail: string): void {
    if (this.failure !== '') return;
    this.failure = failure;
    this.detail = detail;
  }
}

/** Who reads records. */
export interface ExchangeObserver {
  /** Traceparent is read and written. */
  readonly traces: boolean;
  /** Somebody wants to see heads. */
  readonly watched: boolean;
  /** Asked at each end: is the text of the request wanted? */
  wants(record: ExchangeRecord): boolean;
  /** @param text undefined where what came was no request. */
  onExchange(record: ExchangeRecord, text: RequestText | undefined): void;
}
