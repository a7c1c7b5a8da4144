/** The pace of a reply's body, by the real clock. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TimerWheel } from '../../src/lib/timer-wheel.ts';
import { Head } from '../../src/proxy/http.ts';
import { Throttle, type ThrottledReply } from '../../src/proxy/serve/throttle.ts';
import { eventually, sleep } from '../harness/client.ts';

const WAIT = { waitMs: 10_000 };
/** So much may pass at once: what a slice of 50 ms holds. */
const SLICE_MS = 50;

/** Notes what passes. */
class Reply implements ThrottledReply {
  passed = '';
  readonly calls: string[] = [];
  trailers: Head | undefined = undefined;
  /** Of the receiver. */
  takes = true;

  passData(bytes: Buffer, start: number, end: number): boolean {
    this.passed += bytes.toString('latin1', start, end);
    return this.takes;
  }

  passEnd(trailers: Head | undefined): void {
    this.calls.push('end');
    this.trailers = trailers;
  }

  pauseReply(): void {
    this.calls.push('pause');
  }

  resumeReply(): void {
    this.calls.push('resume');
  }

  get hasEnded(): boolean {
    return this.calls.includes('end');
  }
}

async function throttled(bytesPerS: number, use: (throttle: Throttle, reply: Reply) => Promise<void>): Promise<void> {
  const wheel = new TimerWheel(performance.now());
  const reply = new Reply();
  const throttle = new Throttle(wheel, bytesPerS, reply);
  wheel.start();
  try {
    await use(throttle, reply);
  } finally {
    throttle.cancel();
    wheel.stop();
  }
}

function bytesOf(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => 97 + (index % 26)));
}

describe('a throttle', () => {
  test('lets everything pass in its order, and no faster than it should', async () => {
    await throttled(10_000, async (throttle, reply) => {
      const bytes = bytesOf(5000);
      const startMs = performance.now();
      throttle.data(bytes, 0, 3000);
      throttle.data(bytes, 3000, 5000);
      throttle.end(undefined);
      await eventually(() => reply.hasEnded, WAIT);
      const tookMs = performance.now() - startMs;
      assert.equal(reply.passed, bytes.toString('latin1'));
      // To the tick of a millisecond, below which clocks say nothing.
      assert.ok(tookMs >= 500 - SLICE_MS - 1, `Expected at least 449 ms, got ${tookMs}`);
    });
  });

  test('lets what is lent for the call pass as it was then', async () => {
    await throttled(10_000, async (throttle, reply) => {
      const bytes = Buffer.from('x'.repeat(2000));
      throttle.data(bytes, 0, bytes.length);
      bytes.fill('y');
      throttle.end(undefined);
      await eventually(() => reply.hasEnded, WAIT);
      assert.equal(reply.passed, 'x'.repeat(2000));
    });
  });

  test('passes a byte now and then where a slice has none', async () => {
    await throttled(10, async (throttle, reply) => {
      const startMs = performance.now();
      throttle.data(Buffer.from('abcd'), 0, 4);
      throttle.end(undefined);
      await eventually(() => reply.hasEnded, WAIT);
      assert.equal(reply.passed, 'abcd');
      assert.ok(performance.now() - startMs >= 299);
    });
  });

  test('holds nothing up that is slower than it is', async () => {
    await throttled(1_000_000_000, async (throttle, reply) => {
      throttle.data(bytesOf(5000), 0, 5000);
      throttle.end(undefined);
      assert.equal(reply.passed.length, 5000);
      assert.deepEqual(reply.calls, ['end']);
    });
  });

  test('pauses the reply while something is held, once, and then lets it go on', async () => {
    await throttled(10_000, async (throttle, reply) => {
      throttle.data(bytesOf(1500), 0, 1500);
      throttle.data(bytesOf(500), 0, 500);
      assert.deepEqual(reply.calls, ['pause']);
      await eventually(() => reply.passed.length === 2000, WAIT);
      assert.deepEqual(reply.calls, ['pause', 'resume']);
    });
  });

  test('lets trailers pass where nothing is held, else only the end', async () => {
    const trailers = new Head(1, 64);
    await throttled(10_000, async (throttle, reply) => {
      throttle.data(bytesOf(100), 0, 100);
      throttle.end(trailers);
      assert.equal(reply.trailers, trailers);
    });
    await throttled(10_000, async (throttle, reply) => {
      throttle.data(bytesOf(1000), 0, 1000);
      throttle.end(trailers);
      await eventually(() => reply.hasEnded, WAIT);
      assert.equal(reply.trailers, undefined);
    });
  });

  test('gives a receiver that is full nothing, until it takes more', async () => {
    await throttled(10_000, async (throttle, reply) => {
      reply.takes = false;
      throttle.data(bytesOf(1000), 0, 1000);
      const before = reply.passed.length;
      await sleep(4 * SLICE_MS);
      assert.equal(reply.passed.length, before);
      assert.deepEqual(reply.calls, ['pause']);
      reply.takes = true;
      throttle.drain();
      await eventually(() => reply.passed.length === 1000, WAIT);
    });
  });

  test('passes nothing any more once it is cancelled', async () => {
    await throttled(10_000, async (throttle, reply) => {
      throttle.data(bytesOf(2000), 0, 2000);
      throttle.end(undefined);
      const before = reply.passed.length;
      throttle.cancel();
      await sleep(4 * SLICE_MS);
      assert.deepEqual([reply.passed.length, reply.calls], [before, ['pause']]);
    });
  });
});
