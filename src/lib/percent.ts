const PERCENT = /^\d{1,3}(?:\.\d{1,3})?%$/;

/** From 0 to 1 of `0%` to `100%`, with up to three decimals, or `undefined` if the text is no such share. */
export function parsePercent(text: string): number | undefined {
  const percent = PERCENT.test(text) ? Number(text.slice(0, -1)) : Number.NaN;
  return percent <= 100 ? percent / 100 : undefined;
}
