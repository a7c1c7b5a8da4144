import { stripVTControlCharacters } from 'node:util';
import { screenOf, widthOf, type Screen } from './screen.ts';

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const CLEAR_LINE_END = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * A block of text that is drawn again in its place on a terminal, also when its size changes; elsewhere each drawing is
 * written after the one before. The cursor is hidden from the first drawing until `end`, and a signal brings it back.
 */
export class Live {
  readonly #stream: NodeJS.WriteStream;
  #render: ((screen: Screen) => string) | undefined = undefined;
  /** What stands on the terminal, in lines without escape sequences. */
  #drawn: readonly string[] = [];
  readonly #onResize = (): void => this.#redraw();
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.end();
    // Without another listener the signal shall do what it does by default.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** @param render lines for a screen, each ending in a line feed; asked again when the terminal is resized */
  draw(render: (screen: Screen) => string): void {
    if (!this.#stream.isTTY) {
      this.#stream.write(render(screenOf(this.#stream)));
      return;
    }
    if (this.#render === undefined) {
      this.#stream.write(HIDE_CURSOR);
      this.#stream.on('resize', this.#onResize);
      for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    }
    this.#render = render;
    this.#redraw();
  }

  /** Writes lines above the block. */
  print(lines: string): void {
    if (this.#render === undefined) this.#stream.write(lines);
    else this.#redraw(lines);
  }

  /** What was drawn last stays. May be called again; a later `draw` begins anew below. */
  end(): void {
    if (this.#render === undefined) return;
    this.#render = undefined;
    this.#drawn = [];
    this.#stream.off('resize', this.#onResize);
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    this.#stream.write(SHOW_CURSOR);
  }

  #redraw(above = ''): void {
    if (this.#render === undefined) return;
    const screen = screenOf(this.#stream);
    // A terminal that got narrower has broken the lines; those that scrolled away are out of reach.
    const rowsUp = Math.min(
      this.#drawn.reduce((sum, line) => sum + rowsOf(line, screen), 0),
      screen.rows - 1,
    );
    const up = rowsUp > 0 ? `\u001b[${rowsUp}A` : '';
    const lines = withinRows(this.#render(screen).split('\n').slice(0, -1), screen);
    const block = [...above.split('\n').slice(0, -1), ...lines].map((line) => `${line}${CLEAR_LINE_END}\n`).join('');
    // One write, so that no half of it is seen.
    this.#stream.write(`\r${up}${block}${CLEAR_BELOW}`);
    this.#drawn = lines.map(stripVTControlCharacters);
  }
}

function rowsOf(line: string, { columns }: Screen): number {
  return Math.max(1, Math.ceil(widthOf(line) / columns));
}

/** As many lines as can be reached again: the cursor stands in the row below them. */
function withinRows(lines: readonly string[], screen: Screen): readonly string[] {
  let left = screen.rows - 1;
  const fitting = lines.findIndex((line) => (left -= rowsOf(stripVTControlCharacters(line), screen)) < 0);
  return fitting < 0 ? lines : lines.slice(0, fitting);
}
