import { subjectRefusal } from '../../lib/subject.ts';
import type { Grant } from '../access.ts';
import { type Field, hopsOf, recordHeaders } from '../headers.ts';
import type { Link, OutgoingMessage, Stored } from '../link.ts';
import { MessageProblem } from '../problem.ts';
import type { Call } from './call.ts';
import { JSON_TYPE } from './media-types.ts';
import { mayStore } from './publish.ts';
import { type Ack, notSupported } from './publish-options.ts';

const TIMEOUT_MS = 5000;
/**
 * Of one call. Stores are requests, of which others want some; and what waits for the server while new garbage is made has to be
 * copied by each collection of it: with four times as many a message costs a third more (bench:messages).
 */
const WINDOW = 256;
const WINDOW_BYTES = 1024 * 1024;
/** While the link is full of what others send. */
const AGAIN_MS = 20;
/** Different subjects of one call whose grants are remembered. */
const SUBJECTS_MAX = 1024;
const JSON_FIELD: Field = ['Content-Type', JSON_TYPE];

/** One message of a bulk, as it was asked for. */
export interface OutgoingRecord {
  readonly subject: string;
  readonly body: Buffer;
  /** As the caller names them. */
  readonly fields: readonly Field[];
  /** Of our own making. */
  readonly extra: readonly Field[];
  readonly json: boolean;
}

/** Told once for each record: the problem, or what a stream said. */
export type OnReport = (index: number, problem: MessageProblem | undefined, stored: Stored | undefined) => void;

/** What is known of a subject. */
interface Way {
  readonly grant: Grant;
  /** Undefined: not known yet. */
  mayStore: MessageProblem | 'yes' | undefined;
}

/** Many messages of one call on their way: no more of them at a time than a window holds. */
export class Outgoing {
  /** Given up by the caller of the call: nothing more is sent. */
  stopped = false;
  /** There is room again. */
  onRoom: (() => void) | undefined = undefined;
  readonly #call: Call;
  readonly #link: Link;
  readonly #ack: Ack;
  readonly #onReport: OnReport;
  readonly #ways = new Map<string, Way | MessageProblem>();
  readonly #facts: Omit<Parameters<typeof recordHeaders>[2], 'grant' | 'extra'>;
  readonly #hops: number | MessageProblem;
  /** Of the many records that have no headers of their own. */
  readonly #plain: Buffer | MessageProblem;
  readonly #plainJson: Buffer | MessageProblem;
  #count = 0;
  #inFlight = 0;
  #inFlightBytes = 0;
  #held = false;

  constructor(call: Call, link: Link, ack: Ack, onReport: OnReport) {
    this.#call = call;
    this.#link = link;
    this.#ack = ack;
    this.#onReport = onReport;
    this.#facts = { identity: call.grants.identity, trace: call.trace };
    this.#hops = hopsOf(call.head);
    this.#plain = recordHeaders([], this.#hops, { ...this.#facts, grant: NO_GRANT, extra: [] });
    this.#plainJson = recordHeaders([JSON_FIELD], this.#hops, { ...this.#facts, grant: NO_GRANT, extra: [] });
  }

  /** Otherwise `onRoom` follows. What is offered all the same is taken: there is always a little more. */
  get hasRoom(): boolean {
    return !this.#held && this.#inFlight < WINDOW && this.#inFlightBytes < WINDOW_BYTES;
  }

  get isIdle(): boolean {
    return this.#inFlight === 0;
  }

  /** Records so far. */
  get count(): number {
    return this.#count;
  }

  /** A record that is none: it has its place among the reports. */
  refuse(problem: MessageProblem): void {
    this.#onReport(this.#count++, problem, undefined);
  }

  send(record: OutgoingRecord): void {
    const way = this.#wayOf(record.subject);
    if (way instanceof MessageProblem) {
      this.refuse(way);
      return;
    }
    const { grant } = way;
    const problem =
      record.body.length > grant.maxPayload ? tooLarge(record.body, grant) : grant.take(1, performance.now());
    const headers = problem ?? this.#headers(record, grant);
    if (headers instanceof MessageProblem) {
      this.refuse(headers);
      return;
    }
    const index = this.#count++;
    this.#inFlight++;
    this.#inFlightBytes += record.body.length;
    if (this.#ack === 'stream' && way.mayStore !== 'yes') this.#ask(index, record, headers, way);
    else this.#hand(index, record, headers, performance.now() + TIMEOUT_MS);
  }

  #wayOf(subject: string): Way | MessageProblem {
    const known = this.#ways.get(subject);
    if (known !== undefined) return known;
    const refusal = subjectRefusal(subject);
    // Not remembered: it may be as long as a line.
    if (refusal !== undefined) return new MessageProblem('invalid-subject', refusal);
    if (this.#ways.size === SUBJECTS_MAX) this.#ways.clear();
    const grant = this.#call.grants.publish(subject);
    const way = grant instanceof MessageProblem ? grant : { grant, mayStore: undefined };
    this.#ways.set(subject, way);
    return way;
  }

  #headers({ fields, extra, json }: OutgoingRecord, grant: Grant): Buffer | MessageProblem {
    if (fields.length === 0 && extra.length === 0) return json ? this.#plainJson : this.#plain;
    // Older servers would store it for ever, without a word.
    if (!this.#link.serverIsAtLeast(2, 11) && fields.some(([name]) => name.toLowerCase() === 'nats-ttl'))
      return notSupported(this.#link, 'Nats-TTL', '2.11');
    const typed =
      json && !fields.some(([name]) => name.toLowerCase() === 'content-type') ? [...fields, JSON_FIELD] : fields;
    return recordHeaders(typed, this.#hops, { ...this.#facts, grant, extra });
  }

  /** Holds everything up until it is known whether this subject may be stored to. */
  #ask(index: number, record: OutgoingRecord, headers: Buffer, way: Way): void {
    if (way.mayStore instanceof MessageProblem) {
      this.#settle(index, record.body.length, way.mayStore, undefined);
      return;
    }
    this.#held = true;
    mayStore(this.#call, this.#link, record.subject, record.subject, (refusal) => {
      way.mayStore = refusal ?? 'yes';
      this.#held = false;
      if (refusal === undefined) this.#hand(index, record, headers, performance.now() + TIMEOUT_MS);
      else this.#settle(index, record.body.length, refusal, undefined);
    });
  }

  /** Gives it to the link, again and again while that is full: until `giveUpMs`. */
  #hand(index: number, record: OutgoingRecord, headers: Buffer, giveUpMs: number): void {
    const { subject, body } = record;
    const refusal = this.#link.refusal(headers.length + body.length);
    if (refusal !== undefined && refusal.code === 'busy' && !this.stopped && performance.now() < giveUpMs) {
      this.#held = true;
      setTimeout(() => {
        this.#held = false;
        this.#hand(index, record, headers, giveUpMs);
      }, AGAIN_MS);
      return;
    }
    if (refusal !== undefined || this.stopped) {
      this.#settle(index, body.length, refusal, undefined);
      return;
    }
    this.#give(index, { subject, headers, body });
  }

  /** What is kept until it is settled is little: there are many at a time, and garbage that grows old is dear. */
  #give(index: number, message: OutgoingMessage): void {
    const bytes = message.body.length;
    if (this.#ack === 'stream') {
      this.#link.store(message, TIMEOUT_MS, (problem, stored) => {
        this.#settle(index, bytes, problem, stored);
      });
    } else {
      this.#link.publish(message, this.#ack, TIMEOUT_MS, (problem) => {
        this.#settle(index, bytes, problem, undefined);
      });
    }
  }

  #settle(index: number, bytes: number, problem: MessageProblem | undefined, stored: Stored | undefined): void {
    this.#inFlight--;
    this.#inFlightBytes -= bytes;
    if (this.stopped) return;
    this.#onReport(index, problem, stored);
    // By half a window at a time.
    if (this.#inFlight <= WINDOW / 2 && this.hasRoom) this.onRoom?.();
  }
}

/** Of records whose headers nobody has to allow. */
const NO_GRANT = { policy: '', allowsHeader: () => false };

function tooLarge(body: Buffer, { maxPayload, policy }: Grant): MessageProblem {
  const detail = `Expected a message of at most ${maxPayload} bytes by NatsPolicy ${policy}, got ${body.length}`;
  return new MessageProblem('too-large', detail, { max_payload: maxPayload });
}
