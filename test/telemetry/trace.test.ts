import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TRACEPARENT_LENGTH, TraceContext } from '../../src/telemetry/trace.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

/** Reads a value that stands in the middle of other bytes, as it does in a head. */
function parsed(value: string): TraceContext | undefined {
  const context = new TraceContext();
  const bytes = Buffer.from(`x: ${value}\r\n`, 'latin1');
  return context.parse(bytes, 3, bytes.length - 2) ? context : undefined;
}

function written(context: TraceContext): string {
  const target = Buffer.alloc(TRACEPARENT_LENGTH + 2, '.');
  assert.equal(context.writeHeader(target, 1), 1 + TRACEPARENT_LENGTH);
  const text = target.toString('latin1');
  assert.ok(text.startsWith('.traceparent: ') && text.endsWith('\r\n.'), text);
  return text.slice(14, -3);
}

describe('a traceparent is read', () => {
  const valid: Readonly<Record<string, string>> = {
    'sampled': `00-${TRACE}-${PARENT}-01`,
    'not sampled': `00-${TRACE}-${PARENT}-00`,
    'with the random flag': `00-${TRACE}-${PARENT}-03`,
    'with flags of the future': `00-${TRACE}-${PARENT}-ff`,
    'of a later version': `cc-${TRACE}-${PARENT}-01`,
    'of a later version that has more': `cc-${TRACE}-${PARENT}-01-what-the-future-will-be-like`,
    'of a later version that has an empty more': `01-${TRACE}-${PARENT}-01-`,
    'of version fe': `fe-${TRACE}-${PARENT}-01`,
    'with a trace id of 64 bits': `00-0000000000000000${TRACE.slice(16)}-${PARENT}-01`,
  };
  for (const [what, value] of Object.entries(valid)) {
    test(what, () => {
      const context = parsed(value);
      assert.equal(context?.traceId, value.slice(3, 35));
      assert.equal(context.remote, true);
      assert.equal(context.sampled, (Number.parseInt(value.slice(53, 55), 16) & 1) === 1);
    });
  }
});

describe('a traceparent is refused', () => {
  const invalid: Readonly<Record<string, string>> = {
    'empty': '',
    'of version 00 with a dot behind': `00-${TRACE}-${PARENT}-01.`,
    'of version 00 with more': `00-${TRACE}-${PARENT}-01-what-the-future-will-be-like`,
    'of a later version with more, but without a dash': `cc-${TRACE}-${PARENT}-01.what-the-future-will-be-like`,
    'of version ff': `ff-${TRACE}-${PARENT}-01`,
    'with an illegal first character of the version': `.0-${TRACE}-${PARENT}-01`,
    'with an illegal second character of the version': `0.-${TRACE}-${PARENT}-01`,
    'with a version in upper case': `CC-${TRACE}-${PARENT}-01`,
    'with three digits of version': `000-${TRACE}-${PARENT}-01`,
    'with four digits of version': `0000-${TRACE}-${PARENT}-01`,
    'with one digit of version': `0-${TRACE}-${PARENT}-01`,
    'with a trace id of zeros': `00-${'0'.repeat(32)}-${PARENT}-01`,
    'with an illegal first character of the trace id': `00-.${TRACE.slice(1)}-${PARENT}-01`,
    'with an illegal last character of the trace id': `00-${TRACE.slice(1)}.-${PARENT}-01`,
    'with a trace id in upper case': `00-${TRACE.toUpperCase()}-${PARENT}-01`,
    'with a trace id too long': `00-${TRACE}3-${PARENT}-01`,
    'with a trace id too short': `00-${TRACE.slice(1)}-${PARENT}-01`,
    'with a parent id of zeros': `00-${TRACE}-0000000000000000-01`,
    'with an illegal first character of the parent id': `00-${TRACE}-.${PARENT.slice(1)}-01`,
    'with an illegal last character of the parent id': `00-${TRACE}-${PARENT.slice(1)}.-01`,
    'with a parent id in upper case': `00-${TRACE}-${PARENT.toUpperCase()}-01`,
    'with a parent id too long': `00-${TRACE}-${PARENT}7-01`,
    'with a parent id too short': `00-${TRACE}-${PARENT.slice(1)}-01`,
    'with illegal characters in the flags': `00-${TRACE}-${PARENT}-.0`,
    'with an illegal last character of the flags': `00-${TRACE}-${PARENT}-0.`,
    'with flags in upper case': `00-${TRACE}-${PARENT}-0B`,
    'with flags too long': `00-${TRACE}-${PARENT}-001`,
    'with flags too short': `00-${TRACE}-${PARENT}-1`,
    'with other delimiters': `00_${TRACE}_${PARENT}_01`,
    'of a later version, but too short': `cc-${TRACE}-${PARENT}-0`,
    'two values in one field': `00-${TRACE}-${PARENT}-01,00-${TRACE}-${PARENT}-01`,
    'with a byte beyond ASCII': `00-${TRACE.slice(1)}\u00e9-${PARENT}-01`,
  };
  for (const [what, value] of Object.entries(invalid)) {
    test(what, () => assert.equal(parsed(value), undefined));
  }

  test('and the same context then starts a trace of its own', () => {
    const context = new TraceContext();
    const bytes = Buffer.from(`00-${TRACE}-${PARENT}-0x`);
    assert.equal(context.parse(bytes, 0, bytes.length), false);
    context.begin(1);
    assert.equal(context.remote, false);
    assert.match(written(context), /^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/);
    assert.ok(!written(context).includes(TRACE));
  });
});

describe('what the endpoint gets', () => {
  test('a sampled trace goes on with a span of ours as the parent', () => {
    const context = parsed(`00-${TRACE}-${PARENT}-01`);
    assert.ok(context);
    assert.match(written(context), new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    assert.ok(!written(context).includes(PARENT));
    assert.match(context.spanId, /^[0-9a-f]{16}$/);
    assert.ok(!written(context).includes(context.spanId), 'server and client span are two');
  });

  test('a trace that is not sampled goes on as it came', () => {
    for (const value of [`00-${TRACE}-${PARENT}-00`, `00-${TRACE}-${PARENT}-02`])
      assert.equal(written(parsed(value)!), value);
  });

  test('the random flag is kept as it came, and unknown flags are not passed on', () => {
    assert.match(written(parsed(`00-${TRACE}-${PARENT}-01`)!), /-01$/);
    assert.match(written(parsed(`00-${TRACE}-${PARENT}-03`)!), /-03$/);
    assert.match(written(parsed(`00-${TRACE}-${PARENT}-fd`)!), /-01$/);
    assert.match(written(parsed(`00-${TRACE}-${PARENT}-fe`)!), /-02$/);
  });

  test('a later version goes on as version 00', () => {
    assert.match(written(parsed(`cc-${TRACE}-${PARENT}-01-more`)!), new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
  });

  test('an unsampled trace of our own has a valid traceparent, so that all agree', () => {
    const context = new TraceContext();
    context.begin(0);
    assert.equal(context.sampled, false);
    assert.match(written(context), /^00-[0-9a-f]{32}-[0-9a-f]{16}-02$/);
    assert.ok(parsed(written(context)));
  });

  test('every exchange gets ids of its own, also from a context that is used again', () => {
    const context = new TraceContext();
    const seen = new Set<string>();
    for (let count = 0; count < 3000; count++) {
      context.begin(1);
      for (const id of [context.traceId, context.spanId, written(context).slice(36, 52)]) seen.add(id);
    }
    assert.equal(seen.size, 9000);
  });
});

describe('sampling', () => {
  function sampledOf(count: number, ratio: number): number {
    const context = new TraceContext();
    let sampled = 0;
    for (let index = 0; index < count; index++) {
      context.begin(ratio);
      if (context.sampled) sampled++;
    }
    return sampled;
  }

  test('a ratio of 0 takes none, and of 1 all', () => {
    assert.equal(sampledOf(20_000, 0), 0);
    assert.equal(sampledOf(20_000, 1), 20_000);
  });

  test('a ratio takes about that share', () => {
    const count = 100_000;
    for (const ratio of [0.01, 0.25, 0.9]) {
      // Eight standard deviations: wrong by chance once in 10^15 runs.
      const margin = 8 * Math.sqrt(count * ratio * (1 - ratio));
      const sampled = sampledOf(count, ratio);
      assert.ok(Math.abs(sampled - count * ratio) < margin, `${sampled} of ${count} at ${ratio}`);
    }
  });

  test('the right-most 56 bits of the trace id decide, so that others come to the same decision', () => {
    const context = new TraceContext();
    const threshold = BigInt(0.75 * 2 ** 56); // OpenTelemetry: rejected below (1 - 0.25) * 2^56
    for (let count = 0; count < 2000; count++) {
      context.begin(0.25);
      assert.equal(context.sampled, BigInt(`0x${context.traceId.slice(18)}`) >= threshold, context.traceId);
    }
  });

  test('a trace that is linked to another one is sampled where that one is, and by the ratio where it is none', () => {
    const context = new TraceContext();
    const linked = (producer: string, ratio: number): boolean => {
      context.beginLinked(producer, ratio);
      assert.equal(context.remote, false);
      assert.notEqual(context.traceId, TRACE);
      return context.sampled;
    };
    assert.equal(linked(`00-${TRACE}-${PARENT}-01`, 0), true);
    assert.equal(linked(`00-${TRACE}-${PARENT}-00`, 1), false);
    assert.equal(linked(`01-${TRACE}-${PARENT}-01-${'x'.repeat(10_000)}`, 0), true);
    for (const invalid of ['', 'x', `00-${'0'.repeat(32)}-${PARENT}-01`])
      assert.deepEqual([linked(invalid, 0), linked(invalid, 1)], [false, true], invalid);
  });

  test("the parent's decision comes before any ratio", () => {
    assert.equal(parsed(`00-${'f'.repeat(32)}-${PARENT}-00`)?.sampled, false);
    assert.equal(parsed(`00-${'0'.repeat(31)}1-${PARENT}-01`)?.sampled, true);
  });
});
