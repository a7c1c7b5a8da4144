import type { Msg } from '@nats-io/transport-node';
import { covers, matches } from '../../../lib/subject.ts';
import type { MessageRecord } from '../../../telemetry.ts';
import type { Cancel, Link } from '../../link.ts';
import { messageMembers } from '../message-json.ts';
import { type EventStream, eventText, type Follower, Tail } from '../sse.ts';

const tailsOf = new WeakMap<Link, Map<string, LiveTail>>();

/** What is published to a set of patterns from now on: one interest for all of this worker who want the same. */
class LiveTail {
  readonly tail = new Tail(0);
  readonly #cancels: readonly Cancel[];
  readonly #patterns: readonly string[];
  #followers = 0;
  readonly #onUnused: () => void;
  #gapTold = false;

  constructor(link: Link, patterns: readonly string[], onUnused: () => void) {
    this.#patterns = patterns;
    this.#onUnused = onUnused;
    this.#cancels = patterns.map((pattern, index) =>
      link.subscribe(
        pattern,
        undefined,
        (message) => {
          this.#take(index, message);
        },
        (reason) => {
          this.#tellGap(reason);
        },
      ),
    );
  }

  static of(link: Link, patterns: readonly string[]): LiveTail {
    const tails = tailsOf.get(link) ?? new Map<string, LiveTail>();
    tailsOf.set(link, tails);
    const key = patterns.join(' ');
    let tail = tails.get(key);
    if (tail === undefined) {
      tail = new LiveTail(link, patterns, () => tails.delete(key));
      tails.set(key, tail);
    }
    tail.#followers++;
    return tail;
  }

  leave(): void {
    if (--this.#followers > 0) return;
    this.#onUnused();
    for (const cancel of this.#cancels) cancel();
    this.tail.close();
  }

  #take(index: number, { subject, data, headers }: Msg): void {
    // Patterns of one set may overlap: the first that matches gives it.
    for (let earlier = 0; earlier < index; earlier++) if (matches(this.#patterns[earlier]!, subject)) return;
    const json = `{"subject":${JSON.stringify(subject)},${messageMembers(data, headers)}}`;
    this.#add(eventText('message', undefined, json));
  }

  /** Once, though each of its interests tells of a lost link. */
  #tellGap(reason: string): void {
    if (this.#gapTold) return;
    this.#gapTold = true;
    setImmediate(() => {
      this.#gapTold = false;
    });
    this.#add(eventText('gap', undefined, JSON.stringify({ reason })));
  }

  #add(event: string): void {
    this.tail.add(this.tail.newest + 1, event);
  }
}

/** The same patterns in another order, or with some that others cover, are the same set. */
export function setOf(patterns: readonly string[]): readonly string[] {
  const unique = [...new Set(patterns)].toSorted();
  return unique.filter((pattern) => !unique.some((other) => other !== pattern && covers(other, pattern)));
}

/** One subscriber of what is live. At most once: what it does not take within 1 MiB is dropped, and it is told how much. */
export class LiveSubscriber implements Follower {
  position = 0;
  readonly record: MessageRecord;
  readonly #stream: EventStream;
  readonly #live: LiveTail;

  /** @param patterns as `setOf` makes them. */
  constructor(link: Link, stream: EventStream, patterns: readonly string[], record: MessageRecord) {
    this.#stream = stream;
    this.record = record;
    this.#live = LiveTail.of(link, patterns);
    this.position = this.#live.tail.newest;
    stream.onOver = () => {
      this.#live.tail.leave(this);
      this.#live.leave();
    };
    stream.onWritable = () => {
      this.follow();
    };
  }

  write(events: Uint8Array): boolean {
    return this.#stream.write(events);
  }

  follow(): void {
    const { tail } = this.#live;
    if (tail.follow(this)) return;
    const dropped = tail.floor - this.position;
    this.position = tail.floor;
    const reason = 'The client took events more slowly than they came';
    const event = eventText('gap', undefined, JSON.stringify({ dropped, reason }));
    this.#stream.write(Buffer.from(event));
    tail.follow(this);
  }
}
