import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type EventSource, LongTurn } from '../../src/lib/long-turn.ts';
import { eventually, sleep } from '../harness/client.ts';

const LONG_MS = 20;
const EVENTS = 1000;

class Source implements EventSource {
  rests = 0;
  wakes = 0;

  rest(): void {
    this.rests++;
  }

  wake(): void {
    this.wakes++;
  }
}

/** Events of one source in one turn of the event loop, that takes so long. */
function turn(longTurn: LongTurn, source: Source, forMs: number): void {
  for (let event = 0; event < EVENTS; event++) longTurn.had(source);
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs);
  for (let event = 0; event < EVENTS; event++) longTurn.had(source);
}

describe('a turn of the event loop', () => {
  test('that is long lets what brings events rest until the next, and wakes it as often', async () => {
    const longTurn = new LongTurn(LONG_MS);
    const source = new Source();
    turn(longTurn, source, LONG_MS);
    assert.ok(source.rests > 0);
    assert.equal(source.wakes, 0);
    const { rests } = source;
    await eventually(() => source.wakes === rests, { what: 'the source to be woken' });
    longTurn.had(source);
    assert.equal(source.rests, rests);
  });

  test('that is short lets nothing rest', async () => {
    const longTurn = new LongTurn(60_000);
    const source = new Source();
    turn(longTurn, source, LONG_MS);
    await new Promise(setImmediate);
    turn(longTurn, source, LONG_MS);
    assert.equal(source.rests, 0);
  });

  test('is measured without those before it', async () => {
    const longTurn = new LongTurn(300);
    const source = new Source();
    for (let count = 0; count < 5; count++) {
      for (let event = 0; event < EVENTS / 10; event++) longTurn.had(source);
      await sleep(100);
    }
    assert.equal(source.rests, 0);
  });
});
