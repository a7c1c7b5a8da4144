/** The circuit breaker of a backend, on the memory of a node, by the test's clock. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseBreaker } from '../../../src/control/compile/breaker-expression.ts';
import { BREAKER_OPEN_MS, type BreakerPolicy } from '../../../src/model/resilience.ts';
import { ROW_FIRST } from '../../../src/model/rows.ts';
import { BreakerWatch, type WatchedBackend } from '../../../src/proxy/health/breaker-watch.ts';
import { Breaker } from '../../../src/proxy/health/breaker.ts';
import { allocateShared, BACKEND, backendRow, BUCKET_BYTES } from '../../../src/shared.ts';
import { allocateMeters, BackendMeter, MeterReader } from '../../../src/telemetry.ts';

const WORKERS = 2;
const RATIO = 'NetworkErrorRatio() > 0.30';
const ERRORS = 'ResponseCodeRatio(500, 600, 0, 600) > 0.25';
const SOME_ERRORS = 'ResponseCodeRatio(500, 505, 0, 600) > 0.25';
const FEWER_ERRORS = 'ResponseCodeRatio(500, 503, 0, 600) > 0.25';
const SLOW = 'LatencyAtQuantileMS(50.0) > 100';
const BEAT_MS = 50;

function policyOf(text: string): BreakerPolicy {
  const read = parseBreaker(text);
  assert.ok('value' in read, JSON.stringify(read));
  return { text, expression: read.value, openMs: BREAKER_OPEN_MS };
}

/** A node with one backend, of which each worker has its own view. Time is the test's. */
class Node {
  nowMs = 1000;
  readonly #meters = allocateMeters(WORKERS);
  readonly reader = new MeterReader(this.#meters);
  readonly #own = backendRow(allocateShared(WORKERS, BUCKET_BYTES), ROW_FIRST);
  #keeper = new BreakerWatch(this.#meters);
  readonly #views: (WatchedBackend & { breaker: Breaker })[];

  /** @param text empty: without a breaker. */
  constructor(text = RATIO) {
    this.#views = Array.from({ length: WORKERS }, (_, worker) => ({
      row: ROW_FIRST,
      meter: new BackendMeter(this.#meters, worker, ROW_FIRST),
      breaker: this.#breaker(text),
    }));
    this.pass(200);
  }

  breaker(worker = 0): Breaker {
    return this.#views[worker]!.breaker;
  }

  get cells(): Int32Array {
    return this.#own.cells.subarray(this.#own.base);
  }

  #breaker(text: string): Breaker {
    return new Breaker(this.#own, text === '' ? undefined : policyOf(text));
  }

  /** A new plan of all workers. */
  plan(text: string): void {
    for (const view of this.#views) view.breaker = this.#breaker(text);
  }

  /** Another worker is the keeper now. */
  takeOver(): void {
    this.#keeper = new BreakerWatch(this.#meters);
  }

  pass(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end;) {
      this.nowMs += Math.min(BEAT_MS, end - this.nowMs);
      this.#keeper.beat([this.#views[0]!], this.nowMs);
    }
  }

  fail(count: number, worker = 0): void {
    for (let done = 0; done < count; done++) this.#views[worker]!.meter.attemptFailed('connect-failed');
  }

  reply(count: number, status = 200, latencyMs = 5, worker = 0): void {
    for (let done = 0; done < count; done++) this.#views[worker]!.meter.attempt(status, latencyMs);
  }

  open(): void {
    this.fail(10);
    this.pass(200);
    assert.equal(this.admit(), 'refuse');
  }

  admit(worker = 0): string {
    return this.breaker(worker).admit(this.nowMs);
  }

  openings(): number {
    return this.reader.backend(ROW_FIRST).breakerOpenings;
  }
}

describe('a breaker opens', () => {
  test('when what all workers together saw makes its expression true, and for all of them', () => {
    const node = new Node();
    node.reply(20, 200, 5, 0);
    node.fail(5, 0);
    node.pass(200);
    assert.deepEqual([node.admit(0), node.admit(1)], ['pass', 'pass']);
    node.fail(5, 1);
    node.pass(200);
    assert.deepEqual([node.admit(0), node.admit(1), node.openings()], ['refuse', 'refuse', 1]);
    assert.ok(node.breaker(1).leftMs(node.nowMs) > 9000);
  });

  for (const text of [
    'NetworkErrorRatio() < 0.5',
    'ResponseCodeRatio(200, 300, 0, 600) < 0.5',
    'LatencyAtQuantileMS(99) == 0',
  ]) {
    test(`never while there are no attempts: ${text}`, () => {
      const node = new Node(text);
      node.pass(20_000);
      assert.deepEqual([node.admit(), node.openings()], ['pass', 0]);
    });
  }

  test('not by what is older than ten seconds', () => {
    const node = new Node();
    node.reply(100);
    node.fail(40);
    node.pass(11_000);
    node.reply(9);
    node.fail(1);
    node.pass(200);
    assert.equal(node.admit(), 'pass');
  });

  test('not by what was counted before the keeper looked', () => {
    const node = new Node();
    node.fail(1000);
    node.takeOver();
    node.pass(1000);
    assert.equal(node.admit(), 'pass');
  });

  // Beside eight good replies.
  for (const [text, what, send, opens] of [
    [ERRORS, '3 x 503', (node: Node) => node.reply(3, 503), true],
    [ERRORS, '2 x 503', (node: Node) => node.reply(2, 503), false],
    [ERRORS, '3 x 599, which has no counter of its own', (node: Node) => node.reply(3, 599), true],
    [SOME_ERRORS, '3 x 599', (node: Node) => node.reply(3, 599), false],
    [ERRORS, '3 without a reply, for which the mesh answers 503', (node: Node) => node.fail(3), true],
    [FEWER_ERRORS, '3 without a reply', (node: Node) => node.fail(3), false],
    [SLOW, '9 slow ones', (node: Node) => node.reply(9, 200, 150), true],
    [SLOW, '7 slow ones', (node: Node) => node.reply(7, 200, 150), false],
    [`LatencyAtQuantileMS(99) > 100 && !(${RATIO})`, 'a slow one', (node: Node) => node.reply(1, 200, 150), true],
    [`${RATIO} || ResponseCodeRatio(429, 430, 0, 600) >= 0.2`, '2 x 429', (node: Node) => node.reply(2, 429), true],
  ] as const) {
    test(`${text} ${opens ? 'opens' : 'does not open'} by ${what}`, () => {
      const node = new Node(text);
      node.reply(8);
      send(node);
      node.pass(200);
      assert.equal(node.admit(), opens ? 'refuse' : 'pass');
    });
  }
});

describe('an open breaker', () => {
  test('refuses for ten seconds, and lets one request try then, whichever worker it came to', () => {
    const node = new Node();
    node.open();
    node.pass(9700);
    assert.equal(node.admit(), 'refuse');
    node.pass(300);
    assert.equal(node.breaker().leftMs(node.nowMs), 0);
    assert.deepEqual([node.admit(1), node.admit(0), node.admit(1)], ['trial', 'refuse', 'refuse']);
  });

  test('is closed by a try that went well, and has forgotten what was before', () => {
    const node = new Node();
    node.open();
    node.pass(10_000);
    assert.equal(node.admit(), 'trial');
    node.fail(10);
    node.breaker().settle(true, node.nowMs);
    assert.equal(node.admit(1), 'pass');
    node.reply(1);
    node.pass(1000);
    assert.deepEqual([node.admit(), node.openings()], ['pass', 1]);
    node.fail(1);
    node.pass(200);
    assert.deepEqual([node.admit(), node.openings()], ['refuse', 2]);
  });

  test('stays open for as long again when its try failed', () => {
    const node = new Node();
    node.open();
    for (const round of [1, 2, 3]) {
      node.pass(10_000);
      assert.equal(node.admit(), 'trial', `round ${round}`);
      node.pass(500);
      node.breaker().settle(false, node.nowMs);
      node.pass(9700);
      assert.equal(node.admit(), 'refuse', `round ${round}`);
    }
    assert.equal(node.openings(), 1);
  });

  test('waits as long when nothing is heard of its try', () => {
    const node = new Node();
    node.open();
    node.pass(10_000);
    assert.equal(node.admit(1), 'trial');
    node.pass(9700);
    assert.equal(node.admit(), 'refuse');
    node.pass(400);
    assert.equal(node.admit(), 'trial');
  });

  test('lets another one try soon when a try ended before anybody could tell', () => {
    const node = new Node();
    node.open();
    node.pass(10_000);
    assert.equal(node.admit(), 'trial');
    node.breaker().settle(undefined, node.nowMs);
    node.pass(50);
    assert.equal(node.admit(1), 'trial');
  });

  test('is not opened again by a try that is told late', () => {
    const node = new Node();
    node.open();
    node.pass(10_000);
    node.admit(0);
    node.pass(10_100);
    assert.equal(node.admit(1), 'trial');
    node.breaker(1).settle(true, node.nowMs);
    node.breaker(0).settle(false, node.nowMs);
    assert.equal(node.admit(), 'pass');
  });
});

describe('the state of a breaker', () => {
  test('survives a plan with the same expression, however it is written, and a new keeper', () => {
    const node = new Node();
    node.open();
    node.plan('NetworkErrorRatio()>.3');
    node.pass(500);
    assert.equal(node.admit(1), 'refuse');
    node.takeOver();
    node.pass(500);
    assert.equal(node.admit(1), 'refuse');
    assert.equal(node.openings(), 1);
  });

  test('is closed with another expression', () => {
    const node = new Node();
    node.open();
    node.plan('NetworkErrorRatio() > 0.90');
    node.pass(200);
    assert.deepEqual([node.admit(0), node.admit(1)], ['pass', 'pass']);
  });

  test('is closed with another expression, that a new keeper finds', () => {
    const node = new Node();
    node.open();
    node.takeOver();
    node.plan('NetworkErrorRatio() > 0.90');
    node.pass(200);
    assert.equal(node.admit(), 'pass');
  });

  test('holds nobody up without an expression, and is closed when there is one again', () => {
    const node = new Node();
    node.open();
    node.plan('');
    assert.deepEqual([node.admit(), node.breaker().leftMs(node.nowMs)], ['pass', 0]);
    node.pass(200);
    node.plan(RATIO);
    node.pass(200);
    assert.equal(node.admit(), 'pass');
  });

  test('is written by nobody where there is no expression', () => {
    const node = new Node('');
    node.fail(10);
    node.pass(1000);
    assert.ok(node.cells.subarray(0, Object.keys(BACKEND).length).every((cell) => cell === 0));
  });
});

describe('counts that move', () => {
  test('a worker that is retired changes nothing', () => {
    const node = new Node();
    node.reply(100, 200, 5, 1);
    node.fail(20, 1);
    node.pass(500);
    node.reader.retire(1);
    node.pass(500);
    assert.equal(node.admit(), 'pass');
    node.fail(100, 1);
    node.pass(200);
    assert.equal(node.admit(), 'refuse');
  });

  test('counters that seem to fall for a moment are not counted twice', () => {
    const node = new Node();
    node.reply(1000, 200, 5, 0);
    node.fail(200, 1);
    node.pass(500);
    // As a reader may see it while the main thread moves the counts of a dead worker.
    node.reader.clearBackend(ROW_FIRST);
    node.pass(500);
    node.reply(1000, 200, 5, 0);
    node.fail(200, 1);
    node.pass(500);
    assert.equal(node.admit(), 'pass');
  });

  test('a keeper that did not look for long begins anew', () => {
    const node = new Node();
    node.reply(10);
    node.pass(100);
    node.fail(100);
    node.nowMs += 60_000;
    node.pass(200);
    assert.equal(node.admit(), 'pass');
  });
});

test('a try is given to one only, whatever the number of those who ask at once', () => {
  const node = new Node();
  node.open();
  node.pass(10_000);
  const answers = Array.from({ length: 100 }, (_, index) => node.admit(index % WORKERS));
  assert.equal(answers.filter((answer) => answer === 'trial').length, 1);
});

/** Breakers of a node that the watch judges, each in a row of its own. */
function breakersOf(
  count: number,
  text: string,
): { readonly backends: WatchedBackend[]; readonly watch: BreakerWatch } {
  const meters = allocateMeters(1);
  const shared = allocateShared(1, BUCKET_BYTES);
  const policy = policyOf(text);
  const backends = Array.from({ length: count }, (_, index) => ({
    row: ROW_FIRST + index,
    meter: new BackendMeter(meters, 0, ROW_FIRST + index),
    breaker: new Breaker(backendRow(shared, ROW_FIRST + index), policy),
  }));
  return { backends, watch: new BreakerWatch(meters) };
}

test('however many breakers there are, each has its turn, and a beat judges only so many', () => {
  const count = 1000;
  const { backends, watch } = breakersOf(count, RATIO);
  const beatsUntil = (isDone: () => boolean): number => {
    for (let beat = 1; beat <= 100; beat++) {
      nowMs += BEAT_MS;
      watch.beat(backends, nowMs);
      if (isDone()) return beat;
    }
    return Infinity;
  };
  const opened = (): number => backends.filter(({ breaker }) => !breaker.isClosed).length;
  let nowMs = 1000;
  beatsUntil(() => false);
  for (const { meter } of backends) meter.attemptFailed('connect-failed');
  const first = beatsUntil(() => opened() > 0);
  assert.equal(first, 1);
  assert.ok(opened() < count / 2, `${opened()} in one beat`);
  assert.ok(beatsUntil(() => opened() === count) <= 10);
});

test('long expressions are judged in smaller numbers at once than short ones', () => {
  const judgedAtOnce = (text: string): number => {
    const { backends, watch } = breakersOf(500, text);
    for (let beat = 1; beat <= 100; beat++) watch.beat(backends, 1000 + beat * BEAT_MS);
    for (const { meter } of backends) meter.attemptFailed('connect-failed');
    watch.beat(backends, 1000 + 101 * BEAT_MS);
    return backends.filter(({ breaker }) => !breaker.isClosed).length;
  };
  const long = [...Array.from({ length: 20 }, () => 'LatencyAtQuantileMS(99.9) > 1e6'), RATIO].join(' || ');
  const judged = judgedAtOnce(long);
  assert.ok(judged > 0 && judged * 4 < judgedAtOnce(RATIO), `${judged} at once`);
});

test('a backend that is gone without its breaker does not touch that of the next one in its row', () => {
  const [meters, shared] = [allocateMeters(1), allocateShared(1, BUCKET_BYTES)];
  const own = backendRow(shared, ROW_FIRST);
  const viewOf = (): WatchedBackend & { breaker: Breaker } => ({
    row: ROW_FIRST,
    meter: new BackendMeter(meters, 0, ROW_FIRST),
    breaker: new Breaker(own, policyOf(RATIO)),
  });
  const [before, after] = [viewOf(), viewOf()];
  const watch = new BreakerWatch(meters);
  watch.beat([before], 1000);
  before.breaker = new Breaker(own, undefined);
  new Breaker(own, policyOf(RATIO)).open(1040);
  watch.beat([after], 1050);
  watch.beat([after], 1200);
  assert.equal(after.breaker.admit(1250), 'refuse');
});
