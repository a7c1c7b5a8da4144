/** What telemetry shows of exchanges that are about a message: the access log, taps, spans at a collector. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ACCESS_LOG_FIELDS_DEFAULT, type Settings } from '../../src/model/settings.ts';
import {
  AccessLog,
  ExchangeRecord,
  Lines,
  type MessageRecord,
  Observer,
  type RequestText,
  Taps,
} from '../../src/telemetry.ts';
import { message } from './spans.ts';

const HEAD = Buffer.from('POST /v1/publish/orders.new HTTP/1.1');
const TEXT: RequestText = {
  bytes: HEAD,
  minor: 1,
  methodStart: 0,
  methodEnd: 4,
  pathStart: 5,
  pathEnd: 27,
  authorityStart: 0,
  authorityEnd: 0,
  idBytes: HEAD,
  idStart: 0,
  idEnd: 0,
  headers: () => [],
};

type Json = Readonly<Record<string, unknown>>;

/** What a worker writes of this exchange. */
function written(
  about: MessageRecord | undefined,
  { accessLog = 1, watched = false }: { accessLog?: Settings['accessLog']; watched?: boolean } = {},
): { readonly log: readonly Json[]; readonly taps: readonly Json[] } {
  const texts = { log: '', taps: '' };
  const into = (name: keyof typeof texts): Lines =>
    new Lines(({ buffer, length }) => {
      texts[name] += Buffer.from(buffer, 0, length).toString('latin1');
    }, 512 * 1024);
  const [log, tapLines] = [into('log'), into('taps')];
  const taps = new Taps(0, tapLines);
  if (watched) taps.set([{ id: 1, filter: { failedOnly: true } }]);
  const settings = { accessLog, accessLogFields: ACCESS_LOG_FIELDS_DEFAULT };
  const observer = new Observer(new AccessLog(settings, 0, log), taps, undefined);
  const record = new ExchangeRecord();
  record.status = 202;
  record.message = about;
  if (observer.wants(record)) observer.onExchange(record, TEXT);
  for (const lines of [log, tapLines]) lines.flush();
  const read = (text: string): readonly Json[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line.replace(/^\d+ /, '')) as Json);
  return { log: read(texts.log), taps: read(texts.taps) };
}

const FIELDS = ['operation', 'destination', 'stream', 'sequence', 'messages', 'result', 'consumer', 'attempt'] as const;

describe('the access log', () => {
  test('has the message of an exchange, without what is not known of it', () => {
    const [line = {}] = written(message()).log;
    assert.deepEqual(Object.fromEntries(FIELDS.filter((name) => name in line).map((name) => [name, line[name]])), {
      operation: 'send',
      destination: 'orders.*',
      stream: 'ORDERS',
      sequence: 17,
      messages: 1,
      result: 'ok',
    });
  });

  test('has the consumer and the attempt of a delivery', () => {
    const [line] = written(message({ operation: 'process', consumer: 'heddle-shop-orders-1', attempt: 2 })).log;
    assert.deepEqual([line?.['consumer'], line?.['attempt']], ['heddle-shop-orders-1', 2]);
  });

  test('has nothing of it where there is no message', () => {
    const [line = {}] = written(undefined).log;
    assert.deepEqual(
      FIELDS.filter((name) => name in line),
      [],
    );
  });

  test('of errors has a message whose result is not ok, whatever the status, and no other', () => {
    assert.equal(written(message(), { accessLog: 'errors' }).log.length, 0);
    const [line] = written(message({ result: 'no-stream' }), { accessLog: 'errors' }).log;
    assert.deepEqual([line?.['status'], line?.['result']], [202, 'no-stream']);
  });
});

test('a tap shows the message, and counts it as failed when its result is not ok', () => {
  const [record] = written(message({ result: 'no-stream', producer: 'x' }), { watched: true }).taps;
  const { producer: _, ...shown } = message({ result: 'no-stream' });
  assert.deepEqual(record?.['message'], shown);
  assert.equal(written(message(), { watched: true }).taps.length, 0);
});
