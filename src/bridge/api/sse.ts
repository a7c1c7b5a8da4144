import type { Grant } from '../access.ts';
import { MessageProblem } from '../problem.ts';
import type { Field } from '../headers.ts';
import type { Call } from './call.ts';
import { EVENTS_TYPE } from './media-types.ts';
import { errorEvent, HEARTBEAT, retryText } from './sse/event.ts';
import { leave, type Occupant, occupy } from './sse/places.ts';

export { eventText } from './sse/event.ts';
export { type Follower, Tail } from './sse/tail.ts';

/** Half-open connections behind proxies end by it, and subscribers spread over nodes again. In ticks of 15 s: 27 to 33 minutes. */
const LEASE_TICKS_MIN = 108;
const LEASE_TICKS_MAX = 132;
/** Clients of a node that ends come back one after the other. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 5000;

const FIELDS: readonly Field[] = [
  ['content-type', EVENTS_TYPE],
  ['cache-control', 'no-store'],
  // Else nginx keeps events back.
  ['x-accel-buffering', 'no'],
];

/** An answer of events, for as long as its client stays: lives through heartbeats, and ends at drain or after half an hour. */
export class EventStream implements Occupant {
  /** The client takes more again. */
  onWritable: () => void = () => {};
  /** It is over, however it ended: nothing is wanted any more. */
  onOver: () => void = () => {};
  readonly address: string;
  readonly #call: Call;
  #stage: 'reserved' | 'open' | 'over' = 'reserved';
  #writable = true;
  /** Nothing was written since the last tick. */
  #silent = false;
  #ticksLeft = between(LEASE_TICKS_MIN, LEASE_TICKS_MAX);

  private constructor(call: Call) {
    this.#call = call;
    this.address = call.source.address;
  }

  /**
   * Takes one of the places that there are; undefined: there is none, and the call has been told.
   * @param judge whether the caller may have it: asked again whenever policies change.
   */
  static reserve(call: Call, judge: () => Grant | MessageProblem): EventStream | undefined {
    const stream = new EventStream(call);
    const refusal = occupy(stream);
    if (refusal !== undefined) {
      call.problem(refusal);
      return undefined;
    }
    call.onAbort = () => {
      stream.#close();
    };
    call.onDrain = () => {
      stream.retire();
    };
    call.onPolicies = () => {
      const verdict = judge();
      if (verdict instanceof MessageProblem) stream.fail(verdict);
    };
    call.onWritable = () => {
      if (stream.#stage !== 'open') return;
      stream.#writable = true;
      stream.onWritable();
    };
    return stream;
  }

  get over(): boolean {
    return this.#stage === 'over';
  }

  /** Until then nothing was answered. */
  get began(): boolean {
    return this.#stage !== 'reserved';
  }

  get writable(): boolean {
    return this.#writable && this.#stage === 'open';
  }

  /** Answers 200. @param fields beside those of every event stream. */
  begin(fields: readonly Field[]): void {
    if (this.#stage !== 'reserved') return;
    this.#stage = 'open';
    this.#call.stream(200, [...FIELDS, ...fields]);
    this.#writable = this.#call.write(HEARTBEAT);
  }

  /** Whole events. False: the client does not keep up, and should get no more until `onWritable`. */
  write(events: Uint8Array): boolean {
    if (this.#stage !== 'open') return false;
    this.#silent = false;
    this.#writable = this.#call.write(events);
    return this.#writable;
  }

  /** It cannot go on, or not even begin. */
  fail(problem: MessageProblem): void {
    if (this.#stage === 'over') return;
    const began = this.#stage === 'open';
    if (began) this.write(errorEvent(problem));
    this.#close();
    if (began) this.#call.finish();
    else this.#call.problem(problem);
  }

  /** A clean end; the client is to come again, here or at another node. */
  retire(): void {
    if (this.#stage === 'reserved') {
      this.fail(new MessageProblem('draining', 'This node is about to end: another one has the same events'));
      return;
    }
    if (this.#stage === 'over') return;
    this.write(retryText(between(RETRY_MS_MIN, RETRY_MS_MAX)));
    this.#close();
    this.#call.finish();
  }

  onTick(): void {
    if (this.#stage !== 'open') return;
    if (--this.#ticksLeft <= 0) this.retire();
    else if (this.#silent && this.#writable) this.write(HEARTBEAT);
    this.#silent = true;
  }

  #close(): void {
    if (this.#stage === 'over') return;
    this.#stage = 'over';
    leave(this);
    this.onOver();
  }
}

function between(min: number, max: number): number {
  return min + Math.random() * (max - min);
}
