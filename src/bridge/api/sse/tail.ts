import type { MessageRecord } from '../../../telemetry.ts';

/** Kept for those who stall, of each tail. */
const STALLED_BYTES = 1024 * 1024;
/** Kept for those who are about to join. */
const JOINING_BYTES = 64 * 1024;
/** Of all tails of this thread: beyond it each keeps only the smaller part. */
const ALL_BYTES = 128 * 1024 * 1024;
/** Events that leave together. */
const GATHERED_BYTES = 64 * 1024;

let keptByAll = 0;

/** One subscriber of a tail. */
export interface Follower {
  /** Number of the last event that it has. The tail moves it. */
  position: number;
  /** Its messages are counted here. */
  readonly record: MessageRecord;
  /** False: it takes no more for now; it is given nothing until it follows again. */
  write(events: Uint8Array): boolean;
}

/** Events that left together. */
interface Chunk {
  readonly bytes: Buffer;
  /** Numbers of its events, ascending, and where each begins. */
  readonly numbers: readonly number[];
  readonly offsets: readonly number[];
}

/**
 * What is live of one source, for all that follow it: each event is encoded once, and what came in one turn of the event loop is
 * given to each follower in one write. Those who stall are not waited for: what they lack is kept for a while, then they have
 * fallen behind. Numbers of events grow; a stream's are its sequences, so that whoever caught up by himself joins exactly.
 */
export class Tail {
  readonly #current = new Set<Follower>();
  readonly #stalled = new Set<Follower>();
  readonly #chunks: Chunk[] = [];
  #keptBytes = 0;
  #floor: number;
  #newest: number;
  #gathered: Buffer[] = [];
  #numbers: number[] = [];
  #offsets: number[] = [];
  #gatheredBytes = 0;
  #closed = false;

  /** @param floor all events after this number will be here. */
  constructor(floor: number) {
    this.#floor = floor;
    this.#newest = floor;
  }

  /** What comes after it is here, or will be. */
  get floor(): number {
    return this.#floor;
  }

  /** Number of the last event. */
  get newest(): number {
    return this.#newest;
  }

  /** @param number greater than any before. */
  add(number: number, event: string): void {
    if (this.#closed) return;
    const bytes = Buffer.from(event);
    if (this.#gathered.length === 0) setImmediate(this.#flush);
    this.#gathered.push(bytes);
    this.#numbers.push(number);
    this.#offsets.push(this.#gatheredBytes);
    this.#gatheredBytes += bytes.length;
    this.#newest = number;
    if (this.#gatheredBytes >= GATHERED_BYTES) this.#flush();
  }

  /** Gives what came after its position, and what will come. False: some of it is not here any more. */
  follow(follower: Follower): boolean {
    this.leave(follower);
    if (follower.position < this.#floor) return false;
    this.#current.add(follower);
    for (const chunk of this.#chunks) if (!this.#give(follower, chunk)) break;
    return true;
  }

  leave(follower: Follower): void {
    this.#current.delete(follower);
    this.#stalled.delete(follower);
  }

  /** @returns those who followed it: nothing more comes. */
  close(): readonly Follower[] {
    this.#flush();
    const followers = [...this.#current, ...this.#stalled];
    this.#closed = true;
    this.#current.clear();
    this.#stalled.clear();
    this.#keep(0);
    return followers;
  }

  readonly #flush = (): void => {
    if (this.#gathered.length === 0 || this.#closed) return;
    const chunk = {
      bytes: this.#gathered.length === 1 ? this.#gathered[0]! : Buffer.concat(this.#gathered, this.#gatheredBytes),
      numbers: this.#numbers,
      offsets: this.#offsets,
    };
    this.#gathered = [];
    this.#numbers = [];
    this.#offsets = [];
    this.#gatheredBytes = 0;
    this.#chunks.push(chunk);
    this.#keptBytes += chunk.bytes.length;
    keptByAll += chunk.bytes.length;
    for (const follower of this.#current) this.#give(follower, chunk);
    this.#keep(this.#stalled.size === 0 || keptByAll > ALL_BYTES ? JOINING_BYTES : STALLED_BYTES);
  };

  /** What of it comes after the follower's position. False: it takes no more. */
  #give(follower: Follower, { bytes, numbers, offsets }: Chunk): boolean {
    const { position } = follower;
    const last = numbers.at(-1)!;
    if (last <= position) return true;
    const first = numbers[0]! > position ? 0 : numbers.findIndex((number) => number > position);
    follower.position = last;
    follower.record.messages += numbers.length - first;
    if (follower.write(first === 0 ? bytes : bytes.subarray(offsets[first]))) return true;
    // Unless it has left at the same time.
    if (this.#current.delete(follower)) this.#stalled.add(follower);
    return false;
  }

  #keep(bytes: number): void {
    while (this.#keptBytes > bytes) {
      const { bytes: oldest, numbers } = this.#chunks.shift()!;
      this.#keptBytes -= oldest.length;
      keptByAll -= oldest.length;
      this.#floor = numbers.at(-1)!;
    }
  }
}
