/** Bodies that a worker holds at a time. */
const BYTES_MAX = 16 * 1024 * 1024;

/** Bounds the memory of deliveries: while it is full, only subscriptions that hold nothing pull, one message each. */
export class HeldBytes {
  readonly #onRoom: () => void;
  #held = 0;

  /** @param onRoom there is room again after there was none. */
  constructor(onRoom: () => void) {
    this.#onRoom = onRoom;
  }

  get full(): boolean {
    return this.#held >= BYTES_MAX;
  }

  take(bytes: number): void {
    this.#held += bytes;
  }

  give(bytes: number): void {
    const wasFull = this.full;
    this.#held -= bytes;
    if (wasFull && !this.full) this.#onRoom();
  }
}
