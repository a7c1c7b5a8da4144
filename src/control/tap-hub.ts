import type { TapFilter } from '../model/admin.ts';
import type { Batch, Tap } from '../model/message.ts';

const TAPS_MAX = 8;

/** Who watches exchanges: tells the workers what is wanted, and hands each what its filter lets through. */
export class TapHub {
  readonly #announce: (taps: readonly Tap[]) => void;
  readonly #taps = new Map<number, { readonly tap: Tap; readonly onRecord: (json: string) => void }>();
  #next = 1;

  /** @param announce all taps that there are now. */
  constructor(announce: (taps: readonly Tap[]) => void) {
    this.#announce = announce;
  }

  /** @returns what ends it. Throws when there are too many. */
  add(filter: TapFilter, onRecord: (json: string) => void): () => void {
    if (this.#taps.size === TAPS_MAX) throw new Error(`Expected at most ${TAPS_MAX} taps at a time, got one more`);
    const id = this.#next++;
    this.#taps.set(id, { tap: { id, filter }, onRecord });
    this.#tell();
    return () => {
      if (this.#taps.delete(id)) this.#tell();
    };
  }

  /** Lines `id json` from a worker. */
  hear({ buffer, length }: Batch): void {
    for (const line of Buffer.from(buffer, 0, length).toString('utf8').split('\n')) {
      const space = line.indexOf(' ');
      if (space > 0) this.#taps.get(Number(line.slice(0, space)))?.onRecord(line.slice(space + 1));
    }
  }

  #tell(): void {
    this.#announce([...this.#taps.values()].map(({ tap }) => tap));
  }
}
