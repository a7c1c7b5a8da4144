/**
 * A monotonic clock that all threads of a process read alike: `performance.now()` counts from the start of each thread. Ticks fit
 * the Int32 cells of shared memory and wrap after 497 days; two of them compare right as long as they are less than half of that
 * apart.
 */
export const TICK_MS = 10;

/** A thread may lose the processor between its looks at the two clocks, which makes the difference too small: the greatest is right. */
const LOOKS = 5;

/** From this thread's `performance.now()` to the machine's monotonic clock. */
const OFFSET_MS = Math.max(
  ...Array.from({ length: LOOKS }, () => Number(process.hrtime.bigint()) / 1e6 - performance.now()),
);

/** Of the machine's monotonic clock, alike in all threads. @param nowMs of this thread (`performance.now()`). */
export function machineMs(nowMs: number): number {
  return nowMs + OFFSET_MS;
}

/** @param nowMs of this thread (`performance.now()`). */
export function tickAt(nowMs: number): number {
  return Math.floor((nowMs + OFFSET_MS) / TICK_MS) | 0;
}

/** Milliseconds from one tick to another; negative where the other is earlier. */
export function ticksToMs(from: number, to: number): number {
  return ((to - from) | 0) * TICK_MS;
}
