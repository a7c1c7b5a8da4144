/** What the record of an exchange keeps of its attempts, and what of it stands in the access log. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ACCESS_LOG_FIELDS_DEFAULT } from '../../src/model/settings.ts';
import { AccessLog, ExchangeRecord, Lines } from '../../src/telemetry.ts';

const [FIRST, SECOND] = [
  { address: '10.1.2.3', port: 80 },
  { address: 'fd00::4', port: 8080 },
];

function record(): ExchangeRecord {
  return Object.assign(new ExchangeRecord(), { status: 200 });
}

describe('why attempts came to nothing', () => {
  test('is nothing where the first one went well', () => {
    const one = record();
    one.attempt(FIRST, 0, 200, undefined);
    assert.equal(one.attemptFailures, '');
  });

  test('is told in order, with the endpoint of each: a failure, and a status after which another attempt was made', () => {
    const one = record();
    one.attempt(FIRST, 0, 0, 'connect-failed');
    one.attempt(SECOND, 0, 503, undefined);
    one.attempt(FIRST, 0, 200, undefined);
    assert.equal(one.attemptFailures, 'connect-failed@10.1.2.3:80 503@[fd00::4]:8080');
  });

  test('has not the bad reply that was passed on', () => {
    const one = record();
    one.attempt(FIRST, 0, 503, undefined);
    one.attempt(SECOND, 0, 503, undefined);
    one.status = 503;
    assert.equal(one.attemptFailures, '503@10.1.2.3:80');
  });

  test('has the reply that was not passed on because the mesh answered in its place', () => {
    const one = record();
    one.attempt(FIRST, 0, 503, undefined);
    one.status = 504;
    assert.equal(one.attemptFailures, '503@10.1.2.3:80');
  });

  test('has a reply that broke off, once', () => {
    const one = record();
    one.attempt(FIRST, 0, 200, undefined);
    one.spoilAttempt('upstream-reset');
    one.status = 502;
    assert.equal(one.attemptFailures, 'upstream-reset@10.1.2.3:80');
  });

  test('has nothing of what the client did', () => {
    const one = record();
    one.attempt(FIRST, 0, 0, 'client-gone');
    one.attempt(FIRST, 0, 200, undefined);
    one.spoilAttempt('client-gone');
    assert.equal(one.attemptFailures, '');
  });

  test('names no endpoint where the attempt was a message', () => {
    const one = record();
    one.attempt({ address: '', port: 0 }, 0, 0, 'reply-timeout');
    assert.equal(one.attemptFailures, 'reply-timeout');
  });

  test('is told of eleven at most', () => {
    const one = record();
    for (let attempt = 0; attempt < 100; attempt++) one.attempt(FIRST, 0, 0, 'upstream-reset');
    assert.equal(one.attemptFailures.split(' ').length, 11);
  });

  test('is not that of the exchange before', () => {
    const one = record();
    one.attempt(FIRST, 0, 0, 'connect-failed');
    one.attempt(FIRST, 0, 503, undefined);
    one.waitedMs = 7;
    one.reset();
    assert.deepEqual([one.attemptFailures, one.waitedMs], ['', 0]);
  });
});

describe('the access log', () => {
  function lineOf(one: ExchangeRecord): Readonly<Record<string, unknown>> {
    let text = '';
    const lines = new Lines(({ buffer, length }) => {
      text += Buffer.from(buffer, 0, length).toString('latin1');
    }, 64 * 1024);
    new AccessLog({ accessLog: 1, accessLogFields: ACCESS_LOG_FIELDS_DEFAULT }, 0, lines).write(one, undefined);
    lines.flush();
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  }

  test('says why attempts failed and how long it waited for a place', () => {
    const one = record();
    one.attempt(FIRST, 0, 0, 'connect-failed');
    one.attempt(SECOND, 0, 200, undefined);
    one.waitedMs = 12.5;
    const line = lineOf(one);
    assert.deepEqual([line['attemptFailures'], line['waitedMs']], ['connect-failed@10.1.2.3:80', 12.5]);
  });

  test('says nothing of it where nothing failed and nothing waited', () => {
    const line = lineOf(record());
    assert.ok(!('attemptFailures' in line) && !('waitedMs' in line));
  });

  test('has room for eleven failures at the longest addresses', () => {
    const one = record();
    const place = { address: 'fd00:1111:2222:3333:4444:5555:6666:7777', port: 65_535 };
    for (let attempt = 0; attempt < 11; attempt++) one.attempt(place, 0, 0, 'connect-timeout');
    assert.equal(String(lineOf(one)['attemptFailures']).split(' ').at(-1), `connect-timeout@[${place.address}]:65535`);
  });
});
