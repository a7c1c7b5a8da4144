/** Cells of each row of a table; the first ones are gauges. */
export interface TableShape {
  readonly rows: number;
  readonly cells: number;
  readonly gauges: number;
}

/** Bytes of a table for so many columns. */
export function tableBytes({ rows, cells }: TableShape, columns: number): number {
  return columns * rows * cells * Float64Array.BYTES_PER_ELEMENT;
}

/** Where the cells of a row begin in a column. */
export function rowBase({ rows, cells }: TableShape, column: number, row: number): number {
  return (column * rows + row) * cells;
}

/** Who reads a table: a column for each worker, and the last one for what dead workers had counted. */
export class Table {
  readonly cells: Float64Array;
  readonly #columns: number;
  readonly #shape: TableShape;

  constructor(memory: SharedArrayBuffer, columns: number, shape: TableShape) {
    this.cells = new Float64Array(memory);
    this.#columns = columns;
    this.#shape = shape;
  }

  /** Each cell of a row over all columns. */
  sum(row: number): Float64Array {
    const sum = new Float64Array(this.#shape.cells);
    this.sumInto(sum, row, 0);
    return sum;
  }

  /**
   * So many cells of a row as `sum` holds, from this one on, over all columns. While a worker is retired, in another thread, its
   * counts are in both columns or in one: the column of the dead is read first, so that they are never taken twice.
   */
  sumInto(sum: Float64Array, row: number, first: number): void {
    sum.fill(0);
    for (let column = this.#columns - 1; column >= 0; column--) {
      const base = rowBase(this.#shape, column, row) + first;
      for (let at = 0; at < sum.length; at++) sum[at]! += this.cells[base + at]!;
    }
  }

  /** One cell of a row over all columns. */
  sumOf(row: number, cell: number): number {
    let sum = 0;
    for (let column = this.#columns - 1; column >= 0; column--)
      sum += this.cells[rowBase(this.#shape, column, row) + cell]!;
    return sum;
  }

  /** Rows of a worker that is dead: what it counted is kept, its gauges are not. */
  retire(worker: number): void {
    const { cells, gauges } = this.#shape;
    const size = this.#shape.rows * cells;
    const from = worker * size;
    const last = (this.#columns - 1) * size;
    for (let at = 0; at < size; at++) {
      const value = this.cells[from + at]!;
      if (value === 0) continue;
      if (at % cells >= gauges) this.cells[last + at]! += value;
      this.cells[from + at] = 0;
    }
  }

  clear(row: number): void {
    for (let column = 0; column < this.#columns; column++) {
      const base = rowBase(this.#shape, column, row);
      this.cells.fill(0, base, base + this.#shape.cells);
    }
  }
}

/** Those of the counters that were counted at all, by what they are called. */
export function named<T extends string>(
  labels: readonly T[],
  cells: Float64Array,
  base: number,
): readonly (readonly [label: T, count: number])[] {
  return labels.flatMap((label, index) => {
    const count = cells[base + index]!;
    return count === 0 ? [] : [[label, count] as const];
  });
}
