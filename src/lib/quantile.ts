/**
 * The value that this share of what was counted does not exceed; 0 when nothing was counted. Within a bucket it is taken to be
 * evenly spread; beyond the largest bound it is that bound.
 * @param bounds upper bounds of all buckets but the last, ascending
 * @param counts of each bucket
 */
export function quantile(bounds: readonly number[], counts: readonly number[], share: number): number {
  const wanted = share * counts.reduce((sum, count) => sum + count, 0);
  if (wanted === 0) return 0;
  let before = 0;
  for (const [index, bound] of bounds.entries()) {
    const count = counts[index] ?? 0;
    if (count > 0 && before + count >= wanted) {
      const low = bounds[index - 1] ?? 0;
      return low + (bound - low) * ((wanted - before) / count);
    }
    before += count;
  }
  return bounds.at(-1) ?? 0;
}
