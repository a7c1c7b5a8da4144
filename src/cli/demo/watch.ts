import { setTimeout as sleep } from 'node:timers/promises';
import type { StatsAnswer } from '../../model/admin.ts';
import { harmless } from '../../lib/shown.ts';
import { Live } from '../live.ts';
import { type Facts, factsOf, nextLine } from './facts.ts';
import { type Look, type Picture, pictureOf, type Surroundings, type Totals } from './picture.ts';
import { pictureText } from './texts.ts';

const EVERY_MS = 1000;
/** Rates are those of so many looks: at five requests a second, one look alone has too few of them. */
const LOOKS_MAX = 10;
/** Written after one look; what is left follows after the next. */
const LINES_MAX = 6;

/** Follows a node, and shows what happens: as a table in its place on a terminal, elsewhere as lines about what changes. */
export class Watch {
  readonly #look: () => Promise<Look>;
  readonly #surroundings: Surroundings;
  readonly #stream: NodeJS.WriteStream;
  readonly #live: Live | undefined;
  readonly #ended = new AbortController();
  #stats: readonly StatsAnswer[] = [];
  #told: Facts = new Map();
  totals: Totals = { requests: 0, failed: 0, retries: 0 };

  /** @param look asks the node; where it rejects, nothing is shown. */
  constructor(look: () => Promise<Look>, surroundings: Surroundings, stream: NodeJS.WriteStream) {
    this.#look = look;
    this.#surroundings = surroundings;
    this.#stream = stream;
    // A terminal that cannot move its cursor gets lines.
    this.#live = stream.isTTY && process.env['TERM'] !== 'dumb' ? new Live(stream) : undefined;
  }

  /** Resolves after `end`. */
  async run(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const look = await this.#look().catch(() => undefined);
      // oxlint-disable-next-line typescript/no-unnecessary-condition -- ended while it waited
      if (signal.aborted) return;
      if (look !== undefined) this.#show(look);
      await sleep(EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Something that happened, above the table. */
  print(line: string): void {
    const text = `${harmless(line)}\n`;
    if (this.#live === undefined) this.#stream.write(text);
    else this.#live.print(text);
  }

  /** The terminal is as it was, with the last table on it. */
  end(): void {
    this.#ended.abort();
    this.#live?.end();
  }

  #show(look: Look): void {
    const picture = pictureOf(look, this.#stats[0], this.#surroundings);
    this.#stats = [...this.#stats, look.stats].slice(-LOOKS_MAX);
    this.totals = picture.totals;
    if (this.#live === undefined) this.#tell(picture);
    else this.#live.draw((screen) => pictureText(picture, screen));
  }

  /** At most some lines for each look; what changes back in the meantime is never told. */
  #tell(picture: Picture): void {
    const facts = factsOf(picture);
    for (let left = LINES_MAX; left > 0; left--) {
      const next = nextLine(this.#told, facts);
      if (next === undefined) return;
      this.#told = next.told;
      this.print(next.line);
    }
  }
}
