import assert from 'node:assert/strict';
import { stripVTControlCharacters } from 'node:util';
import { describe, test } from 'node:test';
import { cut, widthOf, type Screen } from '../../src/cli/screen.ts';
import { table, type Column } from '../../src/cli/table.ts';

interface Row {
  readonly name: string;
  readonly count: number;
}

const COLUMNS: readonly Column<Row>[] = [
  { head: 'NAME', text: ({ name }) => name },
  {
    head: 'COUNT',
    align: 'right',
    text: ({ count }) => String(count),
    style: ({ count }) => (count > 9 ? 'red' : undefined),
  },
  { head: 'AGAIN', text: ({ name }) => name },
];

const PIPE: Screen = {
  columns: Number.POSITIVE_INFINITY,
  rows: Number.POSITIVE_INFINITY,
  colour: false,
  unicode: true,
};

describe('a table', () => {
  test('aligns its columns and ends no line in blanks', () => {
    assert.deepEqual(
      table(
        COLUMNS,
        [
          { name: 'orders', count: 7 },
          { name: 'a', count: 1234 },
        ],
        PIPE,
      ).split('\n'),
      ['NAME    COUNT  AGAIN', 'orders      7  orders', 'a        1234  a', ''],
    );
  });

  test('in a pipe cuts nothing', () => {
    const name = 'x'.repeat(5000);
    assert.ok(table(COLUMNS, [{ name, count: 1 }], PIPE).includes(name));
  });

  test('on a terminal cuts the widest texts, never numbers, so that no line is wider', () => {
    const rows = [{ name: 'x'.repeat(5000), count: 123_456 }];
    const [head, line] = table(COLUMNS, rows, { ...PIPE, columns: 40 }).split('\n');
    assert.equal(line, 'xxxxxxxxxxxxxx…  123456  xxxxxxxxxxxxxx…');
    assert.equal(head, 'NAME              COUNT  AGAIN');
  });

  test('on a terminal that is too narrow for everything leaves out the last columns', () => {
    for (let columns = 1; columns < 30; columns++) {
      const lines = table(COLUMNS, [{ name: 'some-service', count: 12 }], { ...PIPE, columns }).split('\n');
      assert.ok(
        lines.every((line) => widthOf(line) <= columns),
        `${columns}: ${lines.join('|')}`,
      );
    }
  });

  test('keeps its columns with wide characters', () => {
    const text = table(
      COLUMNS,
      [
        { name: '日本', count: 1 },
        { name: 'abcd', count: 2 },
      ],
      PIPE,
    );
    assert.deepEqual(text.split('\n').slice(1, 3), ['日本      1  日本', 'abcd      2  abcd']);
  });

  test('lets nothing from outside reach the terminal as a command', () => {
    const hostile = '\u001b[2J\u009b31m\u0007\n\r\u202e\u200b\u{e0041}';
    for (const colour of [true, false]) {
      const text = table(COLUMNS, [{ name: hostile, count: 1 }], { ...PIPE, colour });
      assert.equal(text.split('\n').length, 3);
      // oxlint-disable-next-line no-control-regex -- our own styles are all that is allowed
      assert.doesNotMatch(text.replaceAll(/\u001b\[\d+m/g, ''), /[^\P{C}\n]/u);
    }
  });

  test('is coloured without changing its columns', () => {
    const rows = [{ name: 'orders', count: 10 }];
    const coloured = table(COLUMNS, rows, { ...PIPE, colour: true });
    assert.ok(coloured.includes('\u001b[31m10\u001b[39m'));
    assert.equal(stripVTControlCharacters(coloured), table(COLUMNS, rows, PIPE));
  });
});

test('cut text fits and says that something is missing', () => {
  assert.deepEqual(
    [
      cut('orders', 6, PIPE),
      cut('orders', 4, PIPE),
      cut('日本語', 4, PIPE),
      cut('orders', 4, { unicode: false }),
      cut('a', 0, PIPE),
    ],
    ['orders', 'ord…', '日…', 'ord~', ''],
  );
});
