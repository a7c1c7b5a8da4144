/**
 * Gives out rows of the shared meters, and takes them back when nobody writes to them any more: that is when every worker has
 * a plan without the one who had the row, and nothing that began under an older plan is still under way.
 */
export class Rows {
  readonly #rows = new Map<string, number>();
  readonly #free: number[] = [];
  readonly #leaving = new Map<number, { readonly generation: number; readonly owner: number }>();
  #next: number;
  readonly #end: number;
  readonly #other: number;

  /** @param first of the rows to give out. @param end behind the last one. @param other that all share for whom there is none left. */
  constructor(first: number, end: number, other: number) {
    this.#next = first;
    this.#end = end;
    this.#other = other;
  }

  /** The row of this key, which it keeps until it leaves. */
  take(key: string): number {
    const known = this.#rows.get(key);
    // Who had to share gets one of its own as soon as there is one.
    if (known !== undefined && known !== this.#other) return known;
    const row = this.#free.pop() ?? (this.#next < this.#end ? this.#next++ : this.#other);
    this.#rows.set(key, row);
    return row;
  }

  find(key: string): number {
    return this.#rows.get(key) ?? this.#other;
  }

  /**
   * From this generation on nothing has this key.
   * @param owner row of another table, with which it left; `other`: it left alone.
   */
  leave(key: string, generation: number, owner: number = this.#other): void {
    const row = this.#rows.get(key);
    this.#rows.delete(key);
    if (row !== undefined && row !== this.#other) this.#leaving.set(row, { generation, owner });
  }

  /** Its key has left, and it is not free yet. */
  isLeaving(row: number): boolean {
    return this.#leaving.has(row);
  }

  /**
   * @param applied the generation that every worker has at least. @param atRest is nothing under way there?
   * @param clear makes the row ready for the next one.
   */
  settle(applied: number, atRest: (row: number, owner: number) => boolean, clear: (row: number) => void): void {
    for (const [row, { generation, owner }] of this.#leaving) {
      if (generation > applied || !atRest(row, owner)) continue;
      clear(row);
      this.#leaving.delete(row);
      this.#free.push(row);
    }
  }
}
