/** Chance, that a test can own. */
export interface Dice {
  /** From 0 to below 1. */
  roll(): number;
}

/** Dice that say the same for the same seed. Good for shares of traffic, not for secrets. */
export class SeededDice implements Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  /** Mulberry32: one multiplication away from a counter, even over all 32-bit seeds. */
  roll(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}
