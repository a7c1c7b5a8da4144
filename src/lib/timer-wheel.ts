/**
 * Thousands of timeouts for the price of one timer: a hashed wheel of 10 ms slots. A timer that is set again and again
 * (one request after another on one connection) is only moved when its new time is earlier than the visit that is already
 * planned; a later time is a field write, and the visit finds that it came too early. Due timers fire up to one tick late:
 * 10 ms while something is due within a second, else at most 100 ms.
 *
 * Time is monotonic milliseconds (`performance.now()`), passed in, so that tests own the clock.
 */
export interface TimerOwner {
  onTimer(nowMs: number): void;
  /** For whoever fires: `onTimer` threw, and what the timer guards has to end. */
  onDefect?(): void;
}

const SLOT_MS = 10;
const SLOTS = 1024;
const HORIZON_MS = SLOT_MS * (SLOTS - 2);
const SLOTS_SOON = 100;
const TICK_MS_MAX = 100;
const LONG_MS = 1000;
const NEVER = Number.POSITIVE_INFINITY;

function callOwner(owner: TimerOwner, nowMs: number): void {
  owner.onTimer(nowMs);
}

function slotAt(timeMs: number): number {
  return Math.floor(timeMs / SLOT_MS) % SLOTS;
}

export class Timer {
  readonly owner: TimerOwner;
  /** When it fires; infinite while it is off. */
  dueMs = NEVER;
  /** When the wheel looks at it; never later than dueMs, infinite while it is in no slot. */
  visitMs = NEVER;
  previous: Timer | undefined = undefined;
  next: Timer | undefined = undefined;
  slot = -1;

  constructor(owner: TimerOwner) {
    this.owner = owner;
  }
}

export class TimerWheel {
  readonly #fire: (owner: TimerOwner, nowMs: number) => void;
  readonly #slots: (Timer | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  /** Time of the last tick: a clock that costs nothing to read, at most 100 ms behind. */
  nowMs: number;
  /** Slots before this one have been visited. */
  #nextSlotMs: number;
  #driver: NodeJS.Timeout | undefined = undefined;
  #driverMs = NEVER;

  /** @param fire calls the owner of a timer that is due, with whatever the caller wants around it. */
  constructor(nowMs: number, fire: (owner: TimerOwner, nowMs: number) => void = callOwner) {
    this.#fire = fire;
    this.nowMs = nowMs;
    this.#nextSlotMs = Math.floor(nowMs / SLOT_MS) * SLOT_MS;
  }

  /**
   * Fires the timer once this many milliseconds from now, never earlier; a timer that runs is set anew. Infinite is off.
   * Long times are counted from the last tick, which costs no look at the clock, and may end a tick late.
   */
  after(timer: Timer, delayMs: number): void {
    this.set(timer, delayMs < LONG_MS ? performance.now() + delayMs : this.nowMs + TICK_MS_MAX + delayMs);
  }

  /** Fires the timer at this time; a timer that runs is moved. */
  set(timer: Timer, dueMs: number): void {
    timer.dueMs = dueMs;
    if (timer.visitMs <= dueMs) return;
    if (timer.slot >= 0) this.#unlink(timer);
    this.#link(timer);
    // Only the driver is moved: whoever sets a timer must not be called back before he has gone on.
    if (this.#driver !== undefined && timer.visitMs < this.#driverMs - SLOT_MS)
      this.#drive(timer.visitMs - performance.now());
  }

  /** Turns the timer off but keeps its place: for owners that will soon set it again. */
  rest(timer: Timer): void {
    timer.dueMs = NEVER;
  }

  /** Takes the timer out, so that the wheel holds nothing of its owner. */
  remove(timer: Timer): void {
    timer.dueMs = NEVER;
    if (timer.slot >= 0) this.#unlink(timer);
  }

  /** Fires what is due. Returns the milliseconds until the next tick is wanted. */
  tick(nowMs: number): number {
    this.nowMs = nowMs;
    // After a long stall each slot needs one visit only.
    if (nowMs - this.#nextSlotMs > SLOTS * SLOT_MS)
      this.#nextSlotMs = Math.floor(nowMs / SLOT_MS - SLOTS + 1) * SLOT_MS;
    while (this.#nextSlotMs + SLOT_MS <= nowMs) {
      const slot = slotAt(this.#nextSlotMs);
      this.#nextSlotMs += SLOT_MS;
      this.#visit(slot, nowMs);
    }
    const first = slotAt(this.#nextSlotMs);
    for (let ahead = 0; ahead < SLOTS_SOON; ahead++) {
      if (this.#slots[(first + ahead) % SLOTS] !== undefined) return SLOT_MS;
    }
    return TICK_MS_MAX;
  }

  /** Ticks by the real clock until `stop`. */
  start(): void {
    if (this.#driver === undefined) this.#drive(SLOT_MS);
  }

  stop(): void {
    clearTimeout(this.#driver);
    this.#driver = undefined;
  }

  #drive(waitMs: number): void {
    clearTimeout(this.#driver);
    this.#driverMs = performance.now() + waitMs;
    this.#driver = setTimeout(this.#onDriver, Math.max(1, waitMs));
  }

  readonly #onDriver = (): void => {
    this.#drive(this.tick(performance.now()));
  };

  #visit(slot: number, nowMs: number): void {
    // Always from the head: an owner may remove any other timer while it runs, but nothing is ever linked into the slot of
    // the moment, because its time has passed.
    for (let timer = this.#slots[slot]; timer !== undefined; timer = this.#slots[slot]) {
      this.#unlink(timer);
      if (timer.dueMs <= nowMs) {
        timer.dueMs = NEVER;
        this.#fire(timer.owner, nowMs);
      } else if (timer.dueMs !== NEVER) {
        this.#link(timer);
      }
    }
  }

  #link(timer: Timer): void {
    const visitMs = Math.min(Math.max(timer.dueMs, this.#nextSlotMs), this.#nextSlotMs + HORIZON_MS);
    const slot = slotAt(visitMs);
    const first = this.#slots[slot];
    timer.visitMs = visitMs;
    timer.slot = slot;
    timer.previous = undefined;
    timer.next = first;
    if (first !== undefined) first.previous = timer;
    this.#slots[slot] = timer;
  }

  #unlink(timer: Timer): void {
    if (timer.previous === undefined) this.#slots[timer.slot] = timer.next;
    else timer.previous.next = timer.next;
    if (timer.next !== undefined) timer.next.previous = timer.previous;
    timer.previous = undefined;
    timer.next = undefined;
    timer.slot = -1;
    timer.visitMs = NEVER;
  }
}
