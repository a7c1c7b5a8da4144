/** Between two looks at the clock. */
const EVENTS_PER_LOOK = 64;

/** What brings events, and can stop until the next turn. */
export interface EventSource {
  rest(): void;
  wake(): void;
}

/**
 * Ends turns of the event loop that would go on and on. While each poll brings as many events as fit (1,024), libuv polls again, up
 * to 48 times, before it lets timers and messages have their turn (uv__io_poll): to them a thread with more busy sockets than that
 * would stand still for seconds. So what brings an event to a turn that is long already rests until the next one: soon a poll brings
 * less, and the turn ends.
 */
export class LongTurn {
  readonly #longMs: number;
  #events = 0;
  /** When this turn was first looked at. */
  #beganMs = Infinity;
  #isLong = false;
  #resting: EventSource[] = [];

  constructor(longMs: number) {
    this.#longMs = longMs;
  }

  /** An event is over. */
  had(source: EventSource): void {
    if (++this.#events % EVENTS_PER_LOOK === 0 && !this.#isLong) this.#look(performance.now());
    if (!this.#isLong) return;
    source.rest();
    this.#resting.push(source);
  }

  #look(nowMs: number): void {
    if (this.#beganMs === Infinity) {
      this.#beganMs = nowMs;
      // It still belongs to this turn (libuv: poll, then check), and ends it for us.
      setImmediate(this.#end);
    } else this.#isLong = nowMs - this.#beganMs >= this.#longMs;
  }

  readonly #end = (): void => {
    this.#beganMs = Infinity;
    this.#isLong = false;
    const woken = this.#resting;
    this.#resting = [];
    for (const source of woken) source.wake();
  };
}
