import type { Dice } from '../../lib/dice.ts';
import { Timer, type TimerOwner, type TimerWheel } from '../../lib/timer-wheel.ts';
import { type BackendPolicy, DEFAULT_BACKEND_POLICY } from '../../model/resilience.ts';
import type { Places } from '../../shared.ts';

/** An exchange that wants a place. Exactly one of the two is called for each that waits, unless it leaves. */
export interface AdmissionWaiter {
  onAdmitted(nowMs: number): void;
  /** It waited for so long as one may. */
  onNotAdmitted(nowMs: number): void;
}

/** One that waits, in line. */
interface Waiting {
  readonly waiter: AdmissionWaiter;
  readonly sinceMs: number;
  previous: Waiting | undefined;
  next: Waiting | undefined;
}

/** `kept`: one that was this worker's becomes free. `share`: those that this worker has less than its share. */
type FreePlaces = 'kept' | 'share' | 'any';

/** So often, or a slot of the wheel later, is looked for places that other workers gave back. */
const LOOK_MS = 10;

/**
 * Who may be under way to a backend, and who waits for that: `max-in-flight` and `max-queue`, of the node. Those who wait in one worker
 * go in the order in which they came. Among the workers, each has the share of the places that it has of those who wait: whoever
 * holds more leaves what becomes free to others, so that all wait alike; whoever holds less keeps it, so that nothing idles.
 */
export class Admission implements TimerOwner {
  readonly #places: Places;
  readonly #wheel: TimerWheel;
  readonly #dice: Dice;
  readonly #timer = new Timer(this);
  /** As the last who entered said. */
  #policy: BackendPolicy = DEFAULT_BACKEND_POLICY;
  readonly #waiting = new Map<AdmissionWaiter, Waiting>();
  #first: Waiting | undefined = undefined;
  #last: Waiting | undefined = undefined;
  /** Somebody is being told, and may enter and leave meanwhile. */
  #telling = false;
  /** At each second look whatever is free is taken, lest it stays so because those do not come to whom it was left. */
  #takesAny = false;
  /** Since the last look a place was left to other workers. */
  #gaveWay = false;

  constructor(places: Places, wheel: TimerWheel, dice: Dice) {
    this.#places = places;
    this.#wheel = wheel;
    this.#dice = dice;
  }

  /** `in`: it has a place, and gives it back by `leave`. `waits`: it hears of it. `full`: no place, and none to wait at. */
  enter(waiter: AdmissionWaiter, policy: BackendPolicy, nowMs: number): 'in' | 'waits' | 'full' {
    this.#policy = policy;
    if (this.#first === undefined && this.#places.take(policy.maxInFlight)) return 'in';
    if (!this.#places.wait(policy.queue.length)) return 'full';
    const last = this.#last;
    const waiting: Waiting = { waiter, sinceMs: nowMs, previous: last, next: undefined };
    this.#last = waiting;
    if (last === undefined) this.#first = waiting;
    else last.next = waiting;
    this.#waiting.set(waiter, waiting);
    if (last === undefined) this.#lookAgain(nowMs);
    return 'waits';
  }

  /** The exchange is over, or goes on as a stream. */
  leave(nowMs: number): void {
    this.#places.give();
    // Whoever tells somebody looks for places afterwards: however many leave at once, nobody calls ever deeper.
    if (!this.#telling && this.#first !== undefined) this.#admit('kept', nowMs);
  }

  /** It does not want to wait any more. */
  withdraw(waiter: AdmissionWaiter): void {
    const waiting = this.#waiting.get(waiter);
    if (waiting !== undefined) this.#remove(waiting);
  }

  onTimer(nowMs: number): void {
    try {
      this.#expire(nowMs);
      if (this.#takesAny) this.#admit('any', nowMs);
      else if (!this.#gaveWay) this.#admit('share', nowMs);
      this.#takesAny = !this.#takesAny;
      this.#gaveWay = false;
    } finally {
      this.#lookAgain(nowMs);
    }
  }

  #lookAgain(nowMs: number): void {
    const first = this.#first;
    if (first !== undefined)
      this.#wheel.set(this.#timer, Math.min(nowMs + LOOK_MS, first.sinceMs + this.#policy.queue.waitMs));
  }

  /** Nobody is told who came while others were. */
  #expire(nowMs: number): void {
    for (let left = this.#waiting.size; left > 0; left--) {
      const first = this.#first;
      if (first === undefined || nowMs - first.sinceMs < this.#policy.queue.waitMs) return;
      this.#remove(first);
      first.waiter.onNotAdmitted(nowMs);
    }
  }

  #admit(places: FreePlaces, nowMs: number): void {
    this.#telling = true;
    try {
      for (let left = this.#waiting.size; left > 0; left--) {
        const first = this.#first;
        if (first === undefined || !this.#mayTake(places) || !this.#places.take(this.#policy.maxInFlight)) return;
        this.#remove(first);
        first.waiter.onAdmitted(nowMs);
      }
    } finally {
      this.#telling = false;
    }
  }

  #mayTake(which: FreePlaces): boolean {
    if (which === 'any') return true;
    const places = this.#places;
    const share = (this.#policy.maxInFlight * places.ownWaiting) / places.waiting;
    const missing = share - places.ownTaken;
    if (which === 'share') return missing > 0;
    // Of a share that is no whole number the rest is by chance.
    const keeps = this.#dice.roll() < missing;
    this.#gaveWay ||= !keeps && missing > 0;
    return keeps;
  }

  #remove({ waiter, previous, next }: Waiting): void {
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    this.#waiting.delete(waiter);
    this.#places.stopWaiting();
  }
}
