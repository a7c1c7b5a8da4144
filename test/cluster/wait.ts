import { sleep } from '../harness/client.ts';

const WAIT_MS = 90_000;
const EVERY_MS = 100;

export interface WaitOptions {
  readonly waitMs?: number;
  /** What was seen last, for the error that gives up. */
  readonly got?: () => string;
}

/** Looks again and again until there is something; an error is "not yet", and the last one is in the error that gives up. */
export async function until<Found>(
  what: string,
  look: () => Promise<Found | false | undefined>,
  { waitMs = WAIT_MS, got }: WaitOptions = {},
): Promise<Found> {
  const giveUpMs = performance.now() + waitMs;
  for (;;) {
    let cause: unknown;
    try {
      // One look after the other is the point.
      const found = await look();
      if (found !== false && found !== undefined) return found;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > giveUpMs) {
      const seen = got === undefined ? '' : `, got ${got() || 'nothing'}`;
      throw new Error(`Expected ${what} within ${waitMs} ms${seen}`, { cause });
    }
    await sleep(EVERY_MS);
  }
}
