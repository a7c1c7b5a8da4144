/** A seeded source of chance, so that each run can be repeated. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 to `sides` - 1. */
  roll(sides: number): number {
    // Weyl sequence with a xorshift-multiply finish: 32 good bits are all that is needed here.
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) % sides;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.roll(items.length)];
    if (item === undefined) throw new Error('Expected something to pick from, got nothing');
    return item;
  }

  /** True once in `n` rolls. */
  oneIn(n: number): boolean {
    return this.roll(n) === 0;
  }
}
