const SIZE = /^(\d{1,15})(KiB|MiB|GiB)?$/;
const UNITS = { GiB: 1024 ** 3, MiB: 1024 ** 2, KiB: 1024 } as const;

/** Bytes of `64KiB`, `1MiB`, `2GiB` or `4096`, or `undefined` if the text is not a size. */
export function parseSize(text: string): number | undefined {
  const match = SIZE.exec(text);
  if (match === null) return undefined;
  const bytes = Number(match[1]) * (match[2] === undefined ? 1 : UNITS[match[2] as keyof typeof UNITS]);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The largest unit that divides without a rest: 65_536 is `64KiB`, 1_000 is `1000`. */
export function formatSize(bytes: number): string {
  for (const [unit, unitBytes] of Object.entries(UNITS)) {
    if (bytes >= unitBytes && bytes % unitBytes === 0) return `${bytes / unitBytes}${unit}`;
  }
  return String(bytes);
}
