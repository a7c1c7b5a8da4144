import { harmless } from '../lib/shown.ts';
import { cut, styled, widthOf, type Screen, type Style } from './screen.ts';

export interface Column<Row> {
  readonly head: string;
  /** What comes from outside may be given as it is: it is made harmless here. */
  readonly text: (row: Row) => string;
  /** Numbers stand to the right, and are never cut. */
  readonly align?: 'right';
  readonly style?: (row: Row) => Style | undefined;
}

const GAP = '  ';
/** A column that gives way to others keeps this many. */
const COLUMNS_MIN = 8;

/** Lines of a table with its head, each ending in a line feed, cut to the width of the screen. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], screen: Screen): string {
  const cells = rows.map((row) => columns.map(({ text }) => harmless(text(row))));
  const widths = fitted(
    columns,
    columns.map(({ head }, index) => cells.reduce((most, line) => Math.max(most, widthOf(line[index]!)), head.length)),
    screen.columns,
  );
  const line = (texts: readonly string[], styleOf: (column: Column<Row>) => Style | undefined): string => {
    let left = screen.columns;
    let out = '';
    for (const [index, column] of columns.entries()) {
      const gap = index === 0 ? '' : GAP;
      const room = Math.min(widths[index]!, left - gap.length);
      // Half a number would be another number.
      if (room < (column.align === 'right' ? widths[index]! : 1)) break;
      const text = cut(texts[index]!, room, screen);
      const rest = ' '.repeat(Math.min(room, widths[index]!) - widthOf(text));
      const shown = styled(text, text === '' ? undefined : styleOf(column), screen);
      out += gap + (column.align === 'right' ? rest + shown : shown + rest);
      left -= gap.length + room;
    }
    return `${out.trimEnd()}\n`;
  };
  const head = line(
    columns.map(({ head: text }) => text),
    () => 'bold',
  );
  return head + cells.map((texts, row) => line(texts, ({ style }) => style?.(rows[row]!))).join('');
}

/** Takes from the widest columns of text, one after the other, until all fit or none has any to give. */
function fitted<Row>(columns: readonly Column<Row>[], wanted: readonly number[], room: number): readonly number[] {
  const widths = [...wanted];
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (columns.length - 1) - room;
  while (excess > 0) {
    let widest = -1;
    for (const [index, { align }] of columns.entries()) {
      if (align !== 'right' && widths[index]! > (widths[widest] ?? COLUMNS_MIN)) widest = index;
    }
    if (widest < 0) break;
    // Down to the next widest would do in one step; a line is short enough for single ones once giants are cut.
    const step = widths[widest]! > room ? widths[widest]! - room : 1;
    widths[widest]! -= step;
    excess -= step;
  }
  return widths;
}
