/**
 * Durations in log-linear buckets: four to each power of two, from an eighth of a millisecond to a minute, so that a quantile
 * is off by at most an eighth of its value. Finding the bucket costs a few integer operations and no logarithm.
 */
const UNITS_PER_MS = 8;
const OCTAVES = 19;
/** Of a histogram; the last one holds everything beyond the largest bound. */
export const BUCKETS: number = 4 * OCTAVES + 1;
const UNITS_MAX = 2 ** (OCTAVES + 1);

/** Upper bound of each bucket but the last, in milliseconds, ascending. */
export const BOUNDS_MS: readonly number[] = Array.from({ length: BUCKETS - 1 }, (_, index) => {
  const octave = Math.floor(index / 4);
  const part = index % 4;
  return (octave === 0 ? part + 1 : (4 + part + 1) * 2 ** (octave - 1)) / UNITS_PER_MS;
});

/** Where a duration belongs. */
export function bucketOf(durationMs: number): number {
  const units = durationMs * UNITS_PER_MS;
  if (units >= UNITS_MAX) return BUCKETS - 1;
  if (units < 4) return units > 0 ? Math.floor(units) : 0;
  const exponent = 31 - Math.clz32(units);
  return 4 * (exponent - 1) + ((units >> (exponent - 2)) & 3);
}
