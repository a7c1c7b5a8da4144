import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { type Line, Lines, parseLines, Pipe, WriterProcess } from './writer/harness.ts';
import type { Answer } from './writer/process.ts';

const EXIT_CODE = 7;
/** Far more than a pipe or socket holds. */
const FLOOD = { type: 'send', producers: 4, lines: 20_000, bytes: 500, whenFull: 'drop' } as const;
/** A busy machine may stall anything for a while; a producer that waits for the pipe would wait for ever. */
const STALL_MS = 2000;

const folder = mkdtempSync(join(tmpdir(), 'heddle-test-'));
after(() => {
  rmSync(folder, { recursive: true });
});

function count(answer: Answer, what: 'sent' | 'dropped'): number {
  return answer.producers.reduce((sum, producer) => sum + producer[what], 0);
}

function assertInOrder(lines: readonly Line[]): void {
  for (const [producer, own] of Map.groupBy(lines, (line) => line.producer)) {
    const indexes = own.map(({ index }) => index);
    assert.deepEqual(
      indexes,
      indexes.toSorted((first, second) => first - second),
      `Lines of ${producer}`,
    );
  }
}

/** Runs a program with this output, and removes both whatever happens. */
async function withPipe(run: (program: WriterProcess, pipe: Pipe) => Promise<void>): Promise<void> {
  const pipe = new Pipe();
  const program = new WriterProcess(pipe.writeEnd);
  try {
    await run(program, pipe);
    assert.deepEqual(program.stray, []);
  } finally {
    program.kill();
    pipe.remove();
  }
}

describe('lines of many threads', () => {
  for (const { bytes, lines } of [
    { bytes: 300, lines: 5000 },
    { bytes: 100 * 1024, lines: 50 },
  ]) {
    test(`of ${bytes} bytes come out whole, all, and in the order of their thread`, async () => {
      await withPipe(async (program, pipe) => {
        const output = pipe.read();
        const [answer, own] = await Promise.all([
          program.tell({ type: 'send', producers: 4, lines, bytes, whenFull: 'wait' }),
          program.tell({ type: 'own', lines: 8, bytes }),
        ]);
        await program.close(20_000);
        await output.ended;
        const all = parseLines(output.text);
        assert.equal(all.length, 4 * lines + 8);
        assert.equal(count(answer, 'sent'), 4 * lines);
        assert.equal(own.taken, 8);
        assertInOrder(all);
      });
    });
  }

  test('that ended before the close are written by it', async () => {
    await withPipe(async (program, pipe) => {
      const output = pipe.read();
      await program.tell({ type: 'send', producers: 4, lines: 100, bytes: 1000, whenFull: 'wait' });
      await program.tell({ type: 'end-producers' });
      await program.close(20_000);
      await output.ended;
      assert.equal(parseLines(output.text).length, 400);
    });
  });
});

for (const kind of ['pipe', 'socket'] as const) {
  describe(`a ${kind} that nobody reads`, () => {
    async function blocked(run: (program: WriterProcess, read: () => Lines) => Promise<void>): Promise<void> {
      if (kind === 'pipe') {
        await withPipe(async (program, pipe) => {
          await run(program, () => pipe.read());
        });
        return;
      }
      const program = new WriterProcess('pipe');
      try {
        await run(program, () => new Lines(program.stdout));
      } finally {
        program.kill();
      }
    }

    test('slows neither producers nor the main thread', async () => {
      await blocked(async (program) => {
        const flood = await program.tell(FLOOD);
        const own = await program.tell({ type: 'own', lines: 5000, bytes: 500 });
        assert.ok(count(flood, 'dropped') > 0);
        assert.ok(own.taken < 5000);
        for (const { slowestMs } of flood.producers) assert.ok(slowestMs < STALL_MS, `Took ${slowestMs} ms`);
        assert.ok(own.stallMs < STALL_MS, `Stalled for ${own.stallMs} ms`);
      });
    });

    test('does not keep the process: close ends at its deadline, and the exit code is its own', async () => {
      await blocked(async (program) => {
        await program.tell(FLOOD);
        const { answer, code, endedMs } = await program.close(300);
        assert.ok(answer.tookMs >= 250 && answer.tookMs < 300 + STALL_MS, `Took ${answer.tookMs} ms`);
        assert.equal(code, EXIT_CODE);
        assert.ok(endedMs < STALL_MS, `Ended ${endedMs} ms later`);
      });
    });

    test('gives whole lines again when it is read, and each line is written or counted', async () => {
      await blocked(async (program, read) => {
        const flood = await program.tell(FLOOD);
        const own = await program.tell({ type: 'own', lines: 5000, bytes: 500 });
        const output = read();
        const later = await program.tell({ type: 'send', producers: 4, lines: 500, bytes: 500, whenFull: 'wait' });
        const { answer } = await program.close(20_000);
        await output.ended;
        const all = parseLines(output.text);
        assertInOrder(all);
        const { dropped, failed, bytes } = answer.totals;
        assert.equal(failed, 0);
        assert.equal(dropped, 5000 - own.taken);
        assert.equal(count(flood, 'sent') + count(flood, 'dropped'), 4 * FLOOD.lines);
        assert.equal(all.length, count(flood, 'sent') + count(later, 'sent') + own.taken);
        assert.equal(bytes, output.text.length);
      });
    });
  });
}

test('a pipe whose reader has gone costs lines, which are counted, and nothing else', async () => {
  await withPipe(async (program, pipe) => {
    await program.tell({ type: 'own', lines: 1, bytes: 10 });
    await program.totals(({ bytes }) => bytes > 0);
    pipe.closeReadEnd();
    await program.tell({ type: 'send', producers: 4, lines: 1000, bytes: 500, whenFull: 'wait' });
    await program.totals(({ failed }) => failed === 4000);
    const { code } = await program.close(20_000);
    assert.equal(code, EXIT_CODE);
  });
});

test('a pipe without a reader from the start costs lines only', async () => {
  const pipe = new Pipe();
  pipe.closeReadEnd();
  const program = new WriterProcess(pipe.writeEnd);
  try {
    await program.tell({ type: 'own', lines: 10, bytes: 10 });
    await program.totals(({ failed }) => failed === 10);
    assert.equal((await program.close(20_000)).code, EXIT_CODE);
  } finally {
    program.kill();
    pipe.remove();
  }
});

test('a full device is survived, and each lost line is counted', async () => {
  const full = openSync('/dev/full', 'w');
  const program = new WriterProcess(full);
  closeSync(full);
  try {
    await program.tell({ type: 'send', producers: 4, lines: 1000, bytes: 500, whenFull: 'wait' });
    const { dropped, bytes } = await program.totals(({ failed }) => failed === 4000);
    assert.deepEqual({ dropped, bytes }, { dropped: 0, bytes: 0 });
    assert.equal((await program.close(20_000)).code, EXIT_CODE);
    assert.deepEqual(program.stray, []);
  } finally {
    program.kill();
  }
});

test('after a disk was full in the middle of a line, the next one begins afresh', async () => {
  const path = join(folder, 'log');
  const file = openSync(path, 'a');
  // A limit of the file's size (in blocks of 512 bytes) is a disk that can become empty again without being one.
  const program = new WriterProcess(file, 'ulimit -f 8');
  closeSync(file);
  try {
    const answer = await program.tell({ type: 'send', producers: 1, lines: 100, bytes: 500, whenFull: 'wait' });
    const { bytes, failed } = await program.totals((totals) => totals.failed > 0);
    const text = readFileSync(path, 'latin1');
    assert.equal(bytes, text.length);
    assert.ok(!text.endsWith('\n'), 'Expected a torn line');
    assert.equal(failed, count(answer, 'sent') - text.split('\n').length + 1);
    truncateSync(path);
    await program.tell({ type: 'own', lines: 2, bytes: 10 });
    assert.equal((await program.close(20_000)).code, EXIT_CODE);
    const later = readFileSync(path, 'latin1');
    assert.ok(later.startsWith('\n{'), later.slice(0, 50));
    assert.equal(parseLines(later.slice(1)).length, 2);
  } finally {
    program.kill();
  }
});

test('a file is appended where whoever opened it has come to', async () => {
  const path = join(folder, 'shared');
  const file = openSync(path, 'w');
  const program = new WriterProcess(file, 'echo before');
  closeSync(file);
  try {
    await program.tell({ type: 'own', lines: 1, bytes: 10 });
    await program.close(20_000);
    const [first, ...rest] = readFileSync(path, 'latin1').split('\n');
    assert.equal(first, 'before');
    assert.equal(parseLines(rest.join('\n')).length, 1);
  } finally {
    program.kill();
  }
});
