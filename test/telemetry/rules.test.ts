/** What telemetry says of rules, and what the owner of a Service may wish of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ACCESS_LOG_FIELDS_DEFAULT, type Settings } from '../../src/model/settings.ts';
import { ROW_FIRST } from '../../src/model/rows.ts';
import {
  AccessLog,
  allocateMeters,
  ExchangeRecord,
  Lines,
  MeterReader,
  BackendMeter,
  Taps,
} from '../../src/telemetry.ts';
import { encodeSpans } from '../../src/telemetry/trace.ts';
import { spanRecord } from './spans.ts';

const RULE = 'HTTPRoute shop/orders rules[1]';

type Json = Readonly<Record<string, unknown>>;

/** Lines, and what has left through them. */
function collected(): { readonly lines: Lines; readonly text: () => string } {
  let text = '';
  const lines = new Lines(({ buffer, length }) => {
    text += Buffer.from(buffer, 0, length).toString('latin1');
  }, 512 * 1024);
  return {
    lines,
    text: () => {
      lines.flush();
      return text;
    },
  };
}

function recordOf(rest: Partial<ExchangeRecord> = {}): ExchangeRecord {
  return Object.assign(new ExchangeRecord(), { status: 200, ...rest });
}

function logged(accessLog: Settings['accessLog'], records: readonly ExchangeRecord[]): readonly ExchangeRecord[] {
  const log = new AccessLog({ accessLog, accessLogFields: ACCESS_LOG_FIELDS_DEFAULT }, 0, collected().lines);
  return records.filter((record) => log.wants(record));
}

describe('the rule of an exchange', () => {
  test('stands in the access log, where one decided', () => {
    const { lines, text } = collected();
    const log = new AccessLog({ accessLog: 1, accessLogFields: ACCESS_LOG_FIELDS_DEFAULT }, 0, lines);
    for (const rule of [RULE, '']) log.write(recordOf({ rule }), undefined);
    const [one, other] = text()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Json);
    assert.equal(one?.['rule'], RULE);
    assert.ok(other !== undefined && !('rule' in other));
  });

  test('is shown to those who watch', () => {
    const { lines, text } = collected();
    const taps = new Taps(0, lines);
    taps.set([{ id: 1, filter: {} }]);
    taps.write(recordOf({ rule: RULE }), undefined);
    assert.equal((JSON.parse(text().replace(/^\d+ /, '')) as Json)['rule'], RULE);
  });

  test('is an attribute of its span, where one decided', () => {
    const room = Buffer.alloc(32 * 1024);
    const attribute = `{"key":"heddle.rule","value":{"stringValue":"${RULE}"}}`;
    const written = (rule: string): string =>
      room.toString('latin1', 0, encodeSpans(spanRecord({ rule, attempts: [] }), room, 0));
    assert.ok(written(RULE).includes(attribute));
    assert.ok(!written('').includes('heddle.rule'));
  });

  test('is not that of the exchange before', () => {
    const record = recordOf({ rule: RULE, accessLog: 'off' });
    record.reset();
    assert.deepEqual([record.rule, record.accessLog], ['', undefined]);
  });
});

describe("what a Service's owner wants of the access log", () => {
  test('beats the setting, whichever wants more', () => {
    const failed = recordOf({ status: 503 });
    const well = recordOf();
    const wish = (accessLog: ExchangeRecord['accessLog']): readonly ExchangeRecord[] =>
      [failed, well].map((record) => recordOf({ status: record.status, accessLog }));
    assert.equal(logged('off', wish(1)).length, 2);
    assert.equal(logged(1, wish('off')).length, 0);
    assert.deepEqual(
      logged(1, wish('errors')).map(({ status }) => status),
      [503],
    );
  });

  test('takes one in so many, and says nothing about other Services', () => {
    const wished = Array.from({ length: 30 }, () => recordOf({ accessLog: 10 }));
    assert.equal(logged('off', [...wished, ...Array.from({ length: 30 }, () => recordOf())]).length, 3);
  });
});

describe('the meter of a backend', () => {
  test('counts copies of requests by their ends, and those under way, beside its exchanges', () => {
    const memory = allocateMeters(1);
    const meter = new BackendMeter(memory, 0, ROW_FIRST);
    const reader = new MeterReader(memory);
    for (const result of ['answered', 'answered', 'failed', 'dropped'] as const) meter.mirrored(result);
    meter.mirrors(1);
    const { mirrored, mirrorsActive, requests, active } = reader.backend(ROW_FIRST);
    assert.deepEqual(Object.fromEntries(mirrored), { answered: 2, failed: 1, dropped: 1 });
    assert.deepEqual([mirrorsActive, requests, active], [1, 0, 0]);
    assert.equal(reader.backendAtRest(ROW_FIRST), false);
  });

  test('keeps what was counted of copies when its worker dies, and forgets those under way', () => {
    const memory = allocateMeters(1);
    const meter = new BackendMeter(memory, 0, ROW_FIRST);
    meter.mirrors(1);
    meter.mirrored('answered');
    const reader = new MeterReader(memory);
    reader.retire(0);
    const { mirrored, mirrorsActive } = reader.backend(ROW_FIRST);
    assert.deepEqual([mirrorsActive, mirrored], [0, [['answered', 1]]]);
  });

  test('counts faults by their kind', () => {
    const memory = allocateMeters(1);
    const meter = new BackendMeter(memory, 0, ROW_FIRST);
    for (const fault of ['abort', 'delay', 'delay', 'throttle'] as const) meter.fault(fault);
    const { faults } = new MeterReader(memory).backend(ROW_FIRST);
    assert.deepEqual(Object.fromEntries(faults), { abort: 1, delay: 2, throttle: 1 });
  });
});
