import type { Round } from './measure.ts';
import type { Shape } from './shapes.ts';

/** All rounds of one shape. Round n of every peer was measured in the same minute. */
export interface ShapeResult {
  readonly shape: Shape;
  /** Load average when the shape began. */
  readonly loadAverage: number;
  readonly rounds: ReadonlyMap<string, readonly Round[]>;
}

/** The middle of several figures, and how far they lie apart. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The spread of one figure over rounds. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/**
 * CPU per request as a multiple of another peer's: first divided round by round, then the median. What the neighbours on
 * the machine did in that minute hits both and divides out.
 */
export function ratios(
  result: ShapeResult,
  options: { readonly peer: string; readonly reference: string },
): Spread | undefined {
  const reference = result.rounds.get(options.reference) ?? [];
  const rounds = result.rounds.get(options.peer) ?? [];
  const quotients = rounds.flatMap((round, index) => {
    const quotient = round.cpuUs / (reference[index]?.cpuUs ?? Number.NaN);
    return Number.isFinite(quotient) ? [quotient] : [];
  });
  return quotients.length === 0 ? undefined : spread(quotients);
}

/** The largest resident memory of a peer after any round of a keep-alive shape, in units of a million bytes. */
export function residentMegabytes(results: readonly ShapeResult[], peer: string): number | undefined {
  const sizes = results
    .filter((result) => result.shape.keepAlive)
    .flatMap((result) => result.rounds.get(peer) ?? [])
    .map((round) => round.residentBytes);
  return sizes.length === 0 ? undefined : Math.max(...sizes) / 1e6;
}
