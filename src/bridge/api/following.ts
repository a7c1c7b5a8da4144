import type { Msg } from '@nats-io/transport-node';
import { Backoff } from '../../lib/backoff.ts';
import type { MessageRecord } from '../../telemetry.ts';
import type { Link } from '../link.ts';
import { MessageProblem } from '../problem.ts';
import type { Field } from '../headers.ts';
import type { EventStream } from './sse.ts';
import { Reader, type ReaderOwner, type Start } from './following/reader.ts';
import { AGAIN_MS_MAX, AGAIN_MS_MIN, SharedTail, type TailFollower } from './following/shared-tail.ts';
import {
  type EventId,
  gapEvent,
  idText,
  messageEvent,
  readyEvent,
  resetEvent,
  type Source,
} from './following/source.ts';
import { askState, type StreamState } from './following/stream-state.ts';

export { LAST_EVENT_ID, lastId } from './following/last-id.ts';
export { type EventKind, type Source } from './following/source.ts';

/** Where a subscriber begins: where he ended, at what comes from now on, or at a place in the stream. */
export type Beginning = { readonly at: 'id'; readonly id: EventId } | { readonly at: 'now' } | Start;

export interface SubscriberOptions {
  readonly link: Link;
  readonly source: Source;
  readonly from: Beginning;
  /** Where he begins who came with an id of a stream that is gone. */
  readonly anew: Start;
  readonly record: MessageRecord;
}

/** Not known yet: nothing has come, and the beginning is no sequence. */
const NOWHERE = -1;

/**
 * One subscriber of a stream: catches up alone, by a consumer of his own, and joins the tail that all share as soon as what he
 * lacks is there: no message twice, none missing. A client that stalls pauses alone, and catches up again. Positions are
 * sequences, so that a lost link or another stream of the same name change nothing of this.
 */
export class StreamSubscriber implements TailFollower, ReaderOwner {
  /** Sequence of the last message that was given. */
  position = NOWHERE;
  readonly record: MessageRecord;
  readonly #options: SubscriberOptions;
  readonly #stream: EventStream;
  readonly #backoff = new Backoff(AGAIN_MS_MIN, AGAIN_MS_MAX);
  #from: Beginning;
  #epoch = '';
  #tail: SharedTail | undefined = undefined;
  /** While he catches up. */
  #reader: Reader | undefined = undefined;
  #again: NodeJS.Timeout | undefined = undefined;
  /** `asking` until it is known what the stream has now; `following` when he was on the tail and may have fallen behind since. */
  #stage: 'asking' | 'placed' | 'following' = 'asking';
  /** An event that tells him. */
  #missed: string | undefined = undefined;
  #ready = false;
  /** Events of this turn of the event loop. */
  #gathered: Buffer[] = [];

  constructor(stream: EventStream, options: SubscriberOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#from = options.from;
    this.record = options.record;
    stream.onOver = () => {
      this.#close();
    };
    stream.onWritable = () => {
      this.#goOn();
    };
  }

  // What a tail, or a reader, gives.

  write(events: Uint8Array): boolean {
    return this.#stream.write(events);
  }

  onTailEnd(problem: MessageProblem | undefined): void {
    if (problem === undefined) this.begin();
    else this.#fail(problem);
  }

  onMade(): void {
    this.#answer();
  }

  onMessage(message: Msg, sequence: number, storedMs: number): void {
    const event = messageEvent(this.#options.source, this.#epoch, message, sequence, storedMs);
    if (this.#gathered.length === 0) setImmediate(this.#flush);
    this.#gathered.push(Buffer.from(event));
    this.position = sequence;
    this.record.messages++;
  }

  onExhausted(): void {
    this.#flush();
    this.#markReady();
    this.#goOn();
  }

  onPulled(): void {
    this.#goOn();
  }

  onTrouble(problem: MessageProblem | undefined): void {
    this.#reader = undefined;
    this.#flush();
    if (problem?.code === 'broker-error') this.#fail(problem);
    else this.#later();
  }

  /** Asks what there is: he may have been away for long, and so may the broker. */
  begin(): void {
    const { link, source } = this.#options;
    this.#stage = 'asking';
    this.#reader?.close();
    this.#reader = undefined;
    askState(link, source.stream, (state) => {
      if (this.#stream.over) return;
      if (!(state instanceof MessageProblem)) this.#join(state);
      else if (this.#stream.began && state.code !== 'no-stream') this.#later();
      else this.#fail(state);
    });
  }

  #later(): void {
    this.#stage = 'asking';
    clearTimeout(this.#again);
    this.#again = setTimeout(
      () => {
        this.begin();
      },
      // Not all at once.
      this.#backoff.next(performance.now()) * (0.5 + Math.random()),
    );
  }

  #join(state: StreamState): void {
    const { link, source } = this.#options;
    if (this.position !== NOWHERE) this.#from = { at: 'id', id: { epoch: this.#epoch, sequence: this.position } };
    if (this.#tail === undefined || this.#tail.over || this.#epoch !== state.epoch) {
      const former = this.#tail;
      this.#tail = SharedTail.of(link, source, state.epoch);
      former?.leave(this);
    }
    this.#epoch = state.epoch;
    const tail = this.#tail;
    tail.whenReady((problem) => {
      if (this.#stream.over || this.#tail !== tail || this.#stage !== 'asking') return;
      if (problem === undefined) {
        this.#place(state);
        this.#stage = 'placed';
        if (this.position === NOWHERE) {
          this.#catchUp();
        } else {
          this.#answer();
          this.#goOn();
        }
        return;
      }
      this.#leaveTail();
      if (this.#stream.began && problem.code !== 'no-stream') this.#later();
      else this.#fail(problem);
    });
  }

  /** Where he begins, and what he has missed. */
  #place(state: StreamState): void {
    const { anew } = this.#options;
    const from = this.#from;
    const { epoch, first, last } = state;
    let start: Start | undefined;
    if (from.at === 'now') this.position = last;
    else if (from.at !== 'id') start = from;
    else if (from.id.epoch !== epoch || from.id.sequence > last) {
      this.#missed = resetEvent(epoch);
      start = anew;
    } else {
      this.position = from.id.sequence;
      if (this.position + 1 < first) {
        this.#missed = gapEvent(epoch, this.position + 1, first - 1);
        this.position = first - 1;
      }
    }
    if (start !== undefined) {
      this.#from = start;
      this.position = start.at === 'after' ? start.sequence : NOWHERE;
    }
  }

  /** Not before the server knows where he begins: whatever is stored from then on, he gets. */
  #answer(): void {
    if (!this.#stream.began) {
      const sequence = this.position;
      const resumed: readonly Field[] =
        sequence === NOWHERE ? [] : [['nats-resumed-from', idText({ epoch: this.#epoch, sequence })]];
      this.#stream.begin([['nats-delivery', 'at-least-once'], ...resumed]);
    }
    if (this.#missed !== undefined) this.#stream.write(Buffer.from(this.#missed));
    this.#missed = undefined;
  }

  /** On the tail, if it has all that he lacks; else by himself, as far as the client keeps up. */
  #goOn(): void {
    this.#flush();
    if (this.#stage === 'asking' || !this.#stream.writable) return;
    if (this.position !== NOWHERE && this.#tail!.follow(this)) {
      this.#stage = 'following';
      this.#reader?.close();
      this.#reader = undefined;
      if (this.#stream.writable) this.#markReady();
    } else if (this.#reader !== undefined) this.#reader.pull();
    else if (this.#stage === 'following') this.begin();
    else this.#catchUp();
  }

  #catchUp(): void {
    const { link, source } = this.#options;
    const start: Start = this.position === NOWHERE ? (this.#from as Start) : { at: 'after', sequence: this.position };
    this.#reader = new Reader(link, { stream: source.stream, filter: source.filter, start }, this);
  }

  #markReady(): void {
    if (this.#ready || !this.#options.source.kind.marksReady) return;
    this.#ready = true;
    this.#stream.write(Buffer.from(readyEvent()));
  }

  readonly #flush = (): void => {
    if (this.#gathered.length === 0) return;
    const events = this.#gathered;
    this.#gathered = [];
    this.#stream.write(Buffer.concat(events));
  };

  #fail(problem: MessageProblem): void {
    this.#stream.fail(this.#options.source.kind.explain(problem));
  }

  #leaveTail(): void {
    this.#tail?.leave(this);
    this.#tail = undefined;
  }

  #close(): void {
    clearTimeout(this.#again);
    this.#reader?.close();
    this.#reader = undefined;
    this.#gathered = [];
    this.#leaveTail();
  }
}
