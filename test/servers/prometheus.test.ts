/** Our metrics as a real Prometheus sees them. */
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { Client, exchange, sleep } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { adminOrigin } from '../harness/telemetry.ts';
import { refusedAddress } from '../harness/upstream.ts';
import { checkMetrics, Prometheus, providePrometheus } from './prometheus.ts';
import { orSkip } from './provide.ts';

const WAIT_MS = 15_000;
const REQUESTS = 200;
const COMPLAINT = /level=(?:warn|error)|out.of.order|duplicate|append failed|invalid/i;

const provided = await providePrometheus();
let recorder: Recorder;
let mesh: Mesh;
let prometheus: Prometheus;

before(async () => {
  if (!('folder' in provided)) return;
  recorder = await Recorder.start((request, connection) => {
    setTimeout(() => connection.send(okReply(request)), request.target === '/slow' ? 100 : 0);
  });
  mesh = await Mesh.start({
    // Traces are what exemplars refer to; nobody need take them.
    flags: ['--admin-listen=127.0.0.1:0', `--otlp-endpoint=http://${await refusedAddress()}`, '--trace-sample=100%'],
    services: [{ name: 'orders', endpoints: [recorder.address] }],
  });
  prometheus = await Prometheus.start(provided.folder, new URL(adminOrigin(mesh)).host);
});
after(async () => {
  if (!('folder' in provided)) return;
  const code = await prometheus.stop();
  await mesh.stop();
  await recorder.stop();
  assert.equal(code, 0);
});

/** Asks until the answer satisfies. */
async function until(expression: string, done: (value: number) => boolean): Promise<number> {
  const giveUpMs = performance.now() + WAIT_MS;
  for (;;) {
    const value = await prometheus.value(expression);
    if (done(value)) return value;
    if (performance.now() > giveUpMs) throw new Error(`Expected another value of ${expression}, got ${value}`);
    await sleep(100);
  }
}

function prometheusTest(name: string, work: (folder: string) => Promise<void>): void {
  test(name, async (t: TestContext) => {
    const folder = orSkip(t, 'Prometheus', provided);
    if (folder !== undefined) await work(folder);
  });
}

prometheusTest('it scrapes the mesh, and counts what clients did', async () => {
  const client = await Client.connect(mesh.port);
  for (let turn = 0; turn < REQUESTS; turn++) {
    client.send(`GET ${turn % 20 === 0 ? '/slow' : '/'} HTTP/1.1\r\nHost: orders.test\r\n\r\n`);
    assertPassed(await client.reply());
  }
  client.destroy();
  await exchange(mesh.port, 'GET / HTTP/1.1\r\nHost: nobody.test\r\n\r\n');
  // It takes some seconds until it knows its targets.
  await until('up', (value) => value === 1);
  assert.equal(await until('sum(heddle_requests_total)', (value) => value > REQUESTS), REQUESTS + 1);
  assert.equal(
    await prometheus.value('sum(heddle_requests_total{namespace="test",service="orders",code="200"})'),
    REQUESTS,
  );
  assert.equal(await prometheus.value('sum(heddle_failures_total{failure="no-route"})'), 1);
});

prometheusTest('it finds quantiles of the duration', async () => {
  const buckets = 'sum by (le) (heddle_request_duration_seconds_bucket{service="orders"})';
  const fast = await until(`histogram_quantile(0.5, ${buckets})`, (value) => value >= 0);
  const slow = await prometheus.value(`histogram_quantile(0.99, ${buckets})`);
  // One in twenty takes 100 ms, and buckets are powers of two.
  assert.ok(slow > 0.06 && slow < 1, `Expected about 0.1 s, got ${slow}`);
  assert.ok(fast < slow, `Expected less than ${slow}, got ${fast}`);
});

prometheusTest('it keeps the exemplars of OpenMetrics', async () => {
  const giveUpMs = performance.now() + WAIT_MS;
  let ids: readonly string[] = [];
  while (ids.length === 0 && performance.now() < giveUpMs) {
    ids = await prometheus.exemplars('heddle_request_duration_seconds_bucket');
    await sleep(50);
  }
  assert.match(ids[0] ?? 'none', /^[0-9a-f]{32}$/);
});

prometheusTest('it has nothing to complain of', async (folder) => {
  const scrapes = await prometheus.value('count_over_time(up[1h])');
  await until('count_over_time(up[1h])', (value) => value >= scrapes + 2);
  assert.equal(await prometheus.lastError(), '');
  assert.equal(await prometheus.value('min_over_time(up[1h])'), 1);
  assert.deepEqual(
    prometheus.log.split('\n').filter((line) => COMPLAINT.test(line)),
    [],
  );
  const text = await (await fetch(`${adminOrigin(mesh)}/metrics`)).text();
  assert.equal(await checkMetrics(folder, text), '');
});
