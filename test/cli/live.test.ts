import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { describe, test } from 'node:test';
import { Live } from '../../src/cli/live.ts';

/** The least of a terminal: lines, a cursor, and the sequences that we send. Lines that get too long break. */
class Terminal extends EventEmitter {
  readonly isTTY: boolean;
  columns: number;
  rows: number;
  lines: string[] = [''];
  row = 0;
  column = 0;
  cursorShown = true;
  raw = '';

  constructor({ isTTY = true, columns = 20, rows = 10 } = {}) {
    super();
    this.isTTY = isTTY;
    this.columns = columns;
    this.rows = rows;
  }

  write(text: string): boolean {
    this.raw += text;
    // oxlint-disable-next-line no-control-regex -- it is a terminal
    for (const [token] of text.matchAll(/\u001b\[[?\d]*[A-Za-z]|[^]/gu)) this.#take(token);
    return true;
  }

  #take(token: string): void {
    if (token === '\r') this.column = 0;
    else if (token === '\n') this.#down();
    else if (token === '\u001b[K') this.lines[this.row] = this.lines[this.row]!.slice(0, this.column);
    else if (token === '\u001b[J')
      this.lines = [...this.lines.slice(0, this.row), this.lines[this.row]!.slice(0, this.column)];
    else if (token === '\u001b[?25l') this.cursorShown = false;
    else if (token === '\u001b[?25h') this.cursorShown = true;
    else if (token.startsWith('\u001b[') && token.endsWith('A')) this.row -= Number.parseInt(token.slice(2), 10);
    else {
      assert.ok(!token.includes('\u001b'), 'Expected a sequence that is known');
      if (this.column === this.columns) this.#down();
      this.lines[this.row] =
        this.lines[this.row]!.slice(0, this.column) + token + this.lines[this.row]!.slice(this.column + 1);
      this.column++;
    }
  }

  #down(): void {
    this.row++;
    this.column = 0;
    if (this.row === this.lines.length) this.lines.push('');
  }

  /** Breaks lines anew, as terminals do. */
  resize(columns: number): void {
    const cursor = this.lines.slice(0, this.row);
    const broken = cursor.flatMap((line) => line.match(new RegExp(`.{1,${columns}}`, 'g')) ?? ['']);
    this.lines = [...broken, ...this.lines.slice(this.row)];
    this.row = broken.length;
    this.columns = columns;
    this.emit('resize');
  }

  get stream(): NodeJS.WriteStream {
    return this as unknown as NodeJS.WriteStream;
  }
}

const lines = (...texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');

describe('on a terminal', () => {
  test('a block is drawn in the place of the one before, longer or shorter', () => {
    const terminal = new Terminal();
    terminal.write('$ heddle top\n');
    const live = new Live(terminal.stream);
    for (const block of [lines('one', 'two'), lines('1', '2', '3'), lines('first')]) live.draw(() => block);
    live.end();
    assert.deepEqual(terminal.lines, ['$ heddle top', 'first', '']);
  });

  test('the cursor is hidden while it draws and comes back at the end', () => {
    const terminal = new Terminal();
    const live = new Live(terminal.stream);
    live.draw(() => lines('one'));
    assert.equal(terminal.cursorShown, false);
    live.end();
    live.end();
    assert.equal(terminal.cursorShown, true);
    assert.equal(process.listenerCount('SIGINT'), 0);
    assert.equal(terminal.listenerCount('resize'), 0);
  });

  test('a terminal that gets narrower is drawn anew at once, without remains of broken lines', () => {
    const terminal = new Terminal({ columns: 20 });
    const live = new Live(terminal.stream);
    live.draw(({ columns }) => lines('x'.repeat(columns), 'y'.repeat(columns)));
    terminal.resize(8);
    live.end();
    assert.deepEqual(terminal.lines, ['xxxxxxxx', 'yyyyyyyy', '']);
  });

  test('a block that is taller than the terminal is cut to what can be drawn again', () => {
    const terminal = new Terminal({ rows: 4 });
    const live = new Live(terminal.stream);
    for (let round = 0; round < 3; round++) live.draw(() => lines('1', '2', '3', '4', '5', '6'));
    live.end();
    assert.deepEqual(terminal.lines, ['1', '2', '3', '']);
  });

  test('lines can be printed above the block', () => {
    const terminal = new Terminal();
    const live = new Live(terminal.stream);
    live.draw(() => lines('block'));
    live.print(lines('note'));
    live.draw(() => lines('block 2'));
    live.end();
    assert.deepEqual(terminal.lines, ['note', 'block 2', '']);
  });
});

test('elsewhere each drawing follows the one before, without any sequence', () => {
  const pipe = new Terminal({ isTTY: false });
  const live = new Live(pipe.stream);
  live.draw(() => lines('one'));
  live.print(lines('note'));
  live.draw(() => lines('two'));
  live.end();
  assert.equal(pipe.raw, 'one\nnote\ntwo\n');
});

const hasScript = spawnSync('script', ['-V']).status === 0;

test(
  'a signal brings the cursor back and ends the program',
  { skip: !hasScript && 'script(1) makes the terminal' },
  async () => {
    const code = `
    import { Live } from './src/cli/live.ts';
    new Live(process.stdout).draw(() => 'block\\n');
    setInterval(() => {}, 1000);
    process.kill(process.pid, 'SIGINT');`;
    const command = `'${process.execPath}' --input-type=module-typescript -e "${code.replaceAll('\n', ' ')}"`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 60_000,
    });
    let out = '';
    child.stdout.on('data', (chunk) => (out += chunk));
    const [exitCode] = (await once(child, 'close')) as [number];
    assert.equal(exitCode, 128 + 2);
    assert.ok(
      out.includes('\u001b[?25l') && out.lastIndexOf('\u001b[?25h') > out.indexOf('block'),
      JSON.stringify(out),
    );
  },
);
