import { BACKEND_ROWS } from '../../model/rows.ts';
import { BUCKETS, bucketOf } from '../histogram.ts';
import { rowBase, type TableShape } from './table.ts';

/** Of each whole power of two of the durations one exchange that was traced: time of day, duration, id of the trace. */
const OCTAVES_SHOWN = (BUCKETS + 3) >> 2;
const EXEMPLAR_CELLS = 8;
/** 128 bits in parts that doubles hold exactly. */
const TRACE_PARTS = 4;
const TRACE_PART_DIGITS = 8;

export const EXEMPLAR_TABLE: TableShape = { rows: BACKEND_ROWS, cells: OCTAVES_SHOWN * EXEMPLAR_CELLS, gauges: 0 };

/** A traced exchange as an example for a bucket. */
export interface Exemplar {
  readonly traceId: string;
  readonly valueMs: number;
  /** Time of day, milliseconds since 1970. */
  readonly timeMs: number;
}

/** Keeps a trace as an example for its duration. */
export function keepExemplar(
  cells: Float64Array,
  worker: number,
  row: number,
  durationMs: number,
  traceId: string,
): void {
  const at = rowBase(EXEMPLAR_TABLE, worker, row) + (bucketOf(durationMs) >> 2) * EXEMPLAR_CELLS;
  // A reader takes it only when the time is the same before and after.
  cells[at] = 0;
  for (let part = 0; part < TRACE_PARTS; part++)
    cells[at + 2 + part] = Number.parseInt(traceId.slice(part * TRACE_PART_DIGITS, (part + 1) * TRACE_PART_DIGITS), 16);
  cells[at + 1] = durationMs;
  cells[at] = Date.now();
}

/** The newest example for a whole power of two of the durations, of all columns. */
export function newestExemplar(
  memory: Float64Array,
  columns: number,
  row: number,
  octave: number,
): Exemplar | undefined {
  let newest: Exemplar | undefined;
  for (let column = 0; column < columns; column++) {
    const at = rowBase(EXEMPLAR_TABLE, column, row) + octave * EXEMPLAR_CELLS;
    const cells = memory.slice(at, at + EXEMPLAR_CELLS);
    const timeMs = cells[0]!;
    if (timeMs <= (newest?.timeMs ?? 0) || memory[at] !== timeMs) continue;
    const parts = Array.from(cells.subarray(2, 2 + TRACE_PARTS));
    const traceId = parts.map((part) => part.toString(16).padStart(TRACE_PART_DIGITS, '0')).join('');
    newest = { traceId, valueMs: cells[1]!, timeMs };
  }
  return newest;
}
