/** Our spans against the decoder of the OpenTelemetry Collector. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Exporter } from '../../src/control/exporter.ts';
import { encodeSpans, type SpanRecord, spanCount } from '../../src/telemetry/trace.ts';
import { OtlpReceiver, provideOtlpReceiver } from '../servers/otlp.ts';
import { orSkip } from '../servers/provide.ts';
import { attempt, message, spanRecord } from '../telemetry/spans.ts';

const provided = await provideOtlpReceiver();
const RESOURCE = { 'service.name': 'heddle', 'service.version': '1.2.3', 'k8s.node.name': 'node-"1"' };
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

async function started(t: TestContext): Promise<OtlpReceiver | undefined> {
  const folder = orSkip(t, 'OTLP receiver', provided);
  if (folder === undefined) return undefined;
  const receiver = await OtlpReceiver.start(folder);
  t.after(() => receiver.stop());
  return receiver;
}

function exporter(endpoint: URL): Exporter {
  const log = { info: () => {}, warn: () => {} };
  return new Exporter({ endpoint, resource: RESOURCE, log });
}

function encoded(record: SpanRecord): Buffer {
  const target = Buffer.alloc(32_768);
  return target.subarray(0, encodeSpans(record, target, 0));
}

async function exported(endpoint: URL, ...records: readonly SpanRecord[]): Promise<Exporter> {
  const one = exporter(endpoint);
  for (const record of records) one.take(encoded(record), spanCount(record));
  await one.close(20_000);
  return one;
}

test('both spans of an exchange arrive, as parent and child', async (t) => {
  const receiver = await started(t);
  if (receiver === undefined) return;
  const { totals } = await exported(receiver.endpoint, spanRecord({ traceparent: `00-${TRACE}-${PARENT}-01` }));
  assert.deepEqual([totals.exported, totals.failed, totals.lastError], [2, 0, '']);
  const [server, client] = await receiver.spans();
  assert.deepEqual([server?.traceId, server?.parentSpanId, server?.kind], [TRACE, PARENT, 2]);
  assert.deepEqual([client?.traceId, client?.parentSpanId, client?.kind], [TRACE, server?.spanId, 3]);
});

test('the process that sends is named', async (t) => {
  const receiver = await started(t);
  if (receiver === undefined) return;
  await exported(receiver.endpoint, spanRecord());
  const [request] = await receiver.requests();
  assert.deepEqual(
    request?.resourceSpans[0]?.resource.attributes.map(({ key, value }) => [key, value['stringValue']]),
    Object.entries(RESOURCE),
  );
});

test('every field and attribute is understood, and none is lost', async (t) => {
  const receiver = await started(t);
  if (receiver === undefined) return;
  const attempts = [attempt({ status: 0, failure: 'connect-failed' }), attempt({ startMs: 1003, status: 503 })];
  const record = spanRecord({
    target: Buffer.from([47, 34, 92, 1, 31, 127, 128, 255]),
    method: 'ODD',
    status: 503,
    attempts,
    traceparent: `00-${TRACE}-${PARENT}-03`,
  });
  await exported(receiver.endpoint, record);
  const sent = JSON.parse(`[${encoded(record).toString('latin1')}]`) as unknown;
  assert.deepEqual(withoutEmpty(await receiver.spans()), withoutEmpty(sent));
});

test('spans of messages are understood whole: a delivery with its link, a publish with its producer', async (t) => {
  const receiver = await started(t);
  if (receiver === undefined) return;
  const producer = `00-${TRACE}-${PARENT}-01`;
  const records = [
    spanRecord({ message: message({ operation: 'process', consumer: 'heddle-1', attempt: 1, producer }) }),
    spanRecord({
      message: message({ messages: 3, result: 'no-stream' }),
      attempts: [attempt({ address: '', port: 0 })],
    }),
  ];
  const { totals } = await exported(receiver.endpoint, ...records);
  assert.deepEqual([totals.exported, totals.failed, totals.lastError], [4, 0, '']);
  const sent = JSON.parse(`[${records.map((record) => encoded(record).toString('latin1')).join()}]`) as unknown;
  const spans = await receiver.spans();
  assert.deepEqual(withoutEmpty(spans), withoutEmpty(sent));
  assert.deepEqual(
    spans.map(({ kind }) => kind),
    [5, 3, 2, 4],
  );
});

test('hundreds of spans in one request arrive through gzip', async (t) => {
  const receiver = await started(t);
  if (receiver === undefined) return;
  const records = Array.from({ length: 300 }, () => spanRecord());
  const { totals } = await exported(receiver.endpoint, ...records);
  assert.equal(totals.exported, 600);
  const spans = await receiver.spans();
  assert.equal(new Set(spans.map(({ spanId }) => spanId)).size, 600);
  assert.deepEqual(
    new Set(spans.map(({ traceId }) => traceId)),
    new Set(records.map(({ context }) => context.traceId)),
  );
});

test('a partial success is understood as the receiver writes it', async (t) => {
  const receiver = await started(t);
  if (receiver === undefined) return;
  const { totals } = await exported(new URL('/v1/traces?reject=1', receiver.endpoint), spanRecord());
  assert.deepEqual([totals.exported, totals.failed], [1, 1]);
  assert.match(totals.lastError, /rejected 1 of 2 spans: "asked to reject"/);
});

test('the test span is accepted', async (t) => {
  const receiver = await started(t);
  if (receiver === undefined) return;
  const one = exporter(receiver.endpoint);
  const probe = await one.probe(TRACE);
  await one.close(0);
  assert.deepEqual([probe.ok, probe.stage], [true, 'accepted']);
  const [span] = await receiver.spans();
  assert.deepEqual([span?.traceId, span?.name], [TRACE, 'heddle check']);
});

/** The Collector leaves out or spells out what is empty or zero, and orders fields as it likes. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, inner]) => [key, withoutEmpty(inner)] as const)
      .filter(
        ([, inner]) => inner !== '' && inner !== 0 && !(typeof inner === 'object' && Object.keys(inner!).length === 0),
      ),
  );
}
