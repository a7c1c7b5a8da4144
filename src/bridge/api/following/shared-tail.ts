import type { Msg } from '@nats-io/transport-node';
import { Backoff } from '../../../lib/backoff.ts';
import type { Link } from '../../link.ts';
import { MessageProblem } from '../../problem.ts';
import { type Follower, Tail } from '../sse.ts';
import { askMessage } from '../stream-api.ts';
import { Reader, type ReaderOwner } from './reader.ts';
import { gapEvent, messageEvent, type Source } from './source.ts';
import { askState, type StreamState } from './stream-state.ts';

/** Before it is tried again to read a stream that could not be read. */
export const AGAIN_MS_MIN = 100;
export const AGAIN_MS_MAX = 2000;

/** One who follows it. */
export interface TailFollower extends Follower {
  /** Nothing more comes: the stream is another one now, or cannot be read any more. */
  onTailEnd(problem: MessageProblem | undefined): void;
}

type OnReady = (problem: MessageProblem | undefined) => void;

const tailsOf = new WeakMap<Link, Map<string, SharedTail>>();

/** What is new in a stream, for all of this worker who follow the same part of it: one consumer for as long as anybody does. */
export class SharedTail implements ReaderOwner {
  readonly #link: Link;
  readonly #source: Source;
  readonly #epoch: string;
  readonly #onUnused: () => void;
  readonly #backoff = new Backoff(AGAIN_MS_MIN, AGAIN_MS_MAX);
  #users = 0;
  /** Undefined: it is being asked where the stream ends. */
  #tail: Tail | undefined = undefined;
  #reader: Reader | undefined = undefined;
  #state: 'asking' | 'ready' | 'over' = 'asking';
  #waiting: OnReady[] = [];
  #again: NodeJS.Timeout | undefined = undefined;

  private constructor(link: Link, source: Source, epoch: string, onUnused: () => void) {
    this.#link = link;
    this.#source = source;
    this.#epoch = epoch;
    this.#onUnused = onUnused;
    this.#begin();
  }

  /** Each `of` needs a `leave`. */
  static of(link: Link, source: Source, epoch: string): SharedTail {
    const tails = tailsOf.get(link) ?? new Map<string, SharedTail>();
    tailsOf.set(link, tails);
    const { stream, filter = '', kind } = source;
    const key = `${kind.name} ${stream} ${epoch} ${filter}`;
    let tail = tails.get(key);
    if (tail === undefined) {
      const made = new SharedTail(link, source, epoch, () => {
        if (tails.get(key) === made) tails.delete(key);
      });
      tails.set(key, (tail = made));
    }
    tail.#users++;
    return tail;
  }

  /** It has ended; there may be another one. */
  get over(): boolean {
    return this.#state === 'over';
  }

  leave(follower: Follower): void {
    this.#tail?.leave(follower);
    if (--this.#users === 0) this.#close();
  }

  /** Told once, when it can be followed or never will be; maybe before this returns. */
  whenReady(onReady: OnReady): void {
    if (this.#state === 'asking') this.#waiting.push(onReady);
    else onReady(undefined);
  }

  /** False: what comes after the follower's position is not all here. */
  follow(follower: TailFollower): boolean {
    return this.#state !== 'over' && this.#tail?.follow(follower) === true;
  }

  onMade(): void {
    if (this.#state === 'asking') this.#tell(undefined);
  }

  onMessage(message: Msg, sequence: number, storedMs: number): void {
    this.#tail!.add(sequence, messageEvent(this.#source, this.#epoch, message, sequence, storedMs));
  }

  onExhausted(): void {}

  onPulled(): void {
    this.#reader?.pull();
  }

  onTrouble(problem: MessageProblem | undefined): void {
    this.#reader = undefined;
    if (this.#state === 'asking' && problem !== undefined) this.#end(problem);
    else if (this.#state !== 'over') this.#later();
  }

  /** Whoever has the last message that there is now lacks nothing of what was before it. */
  #begin(): void {
    const { stream, filter = '>' } = this.#source;
    askMessage(this.#link, stream, { last_by_subj: filter }, (problem, message) => {
      if (this.#state === 'over') return;
      if (problem !== undefined && problem.code !== 'no-message') {
        this.#end(problem);
        return;
      }
      this.#tail = new Tail(message?.sequence ?? 0);
      this.#read();
    });
  }

  #read(): void {
    const { stream, filter } = this.#source;
    const start = { at: 'after', sequence: this.#tail!.newest } as const;
    this.#reader = new Reader(this.#link, { stream, filter, start }, this);
  }

  #later(): void {
    this.#again = setTimeout(() => {
      askState(this.#link, this.#source.stream, (state) => {
        if (this.#state !== 'over') this.#resume(state);
      });
    }, this.#backoff.next(performance.now()));
  }

  #resume(state: StreamState | MessageProblem): void {
    const { newest } = this.#tail!;
    if (state instanceof MessageProblem) {
      if (state.code === 'no-stream') this.#end(state);
      else this.#later();
    } else if (state.epoch !== this.#epoch || state.last < newest) {
      this.#end(undefined);
    } else {
      if (newest + 1 < state.first)
        this.#tail!.add(state.first - 1, gapEvent(this.#epoch, newest + 1, state.first - 1));
      this.#read();
    }
  }

  #tell(problem: MessageProblem | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#state = problem === undefined ? 'ready' : 'over';
    for (const onReady of waiting) onReady(problem);
  }

  /** For those who wait, and those who follow. Whoever comes now gets another one. */
  #end(problem: MessageProblem | undefined): void {
    const followers = (this.#tail?.close() ?? []) as readonly TailFollower[];
    this.#close();
    this.#tell(problem ?? new MessageProblem('broker-error', 'Expected the same stream as before, got another one'));
    for (const follower of followers) follower.onTailEnd(problem);
  }

  #close(): void {
    this.#state = 'over';
    this.#onUnused();
    clearTimeout(this.#again);
    this.#reader?.close();
    this.#tail?.close();
  }
}
