/** Durations are written as in the Gateway API (GEP-2257): `1h30m`, `250ms`, `0s`; no fractions, no sign, no bare numbers. */
const DURATION = /^(?:\d{1,5}(?:h|ms|m|s)){1,4}$/;
const PART = /(\d+)(h|ms|m|s)/g;
const UNITS = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** JetStream has its times in nanoseconds. */
export const NANOSECONDS_PER_MS = 1_000_000;

/** Milliseconds, or `undefined` if the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let sumMs = 0;
  for (const [, count, unit] of text.matchAll(PART)) sumMs += Number(count) * UNITS[unit as keyof typeof UNITS];
  return sumMs;
}

/** The shortest text that `parseDuration` reads back: 5_400_000 is `1h30m`. */
export function formatDuration(durationMs: number): string {
  let restMs = durationMs;
  let text = '';
  for (const [unit, unitMs] of Object.entries(UNITS)) {
    const count = Math.floor(restMs / unitMs);
    restMs -= count * unitMs;
    if (count > 0) text += `${count}${unit}`;
  }
  return text === '' ? '0s' : text;
}
