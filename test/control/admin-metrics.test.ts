/** `GET /metrics`, read by a strict parser of both formats. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { formatFor, type Format } from '../../src/control/admin/metrics.ts';
import { ROW_BRIDGE, ROW_FIRST, ROW_OTHER } from '../../src/model/rows.ts';
import { exchange } from '../harness/client.ts';
import { type Metric, parseExposition, valueOf } from './admin/exposition.ts';
import { ask, busyStandIn, deliveryView, kindView, StandIn, withAdmin } from './admin/stand-in.ts';

const ACCEPT: Readonly<Record<Format, string>> = {
  text: 'text/plain',
  openmetrics: 'application/openmetrics-text; version=1.0.0',
};
const ORDERS = { namespace: 'shop', service: 'orders', port: '80' };

async function scrape(source: StandIn, format: Format = 'text'): Promise<ReadonlyMap<string, Metric>> {
  let metrics: ReadonlyMap<string, Metric> | undefined;
  await withAdmin(source, 'probe', async (port) => {
    const { text } = await ask(port, '/metrics', { headers: { accept: ACCEPT[format] } });
    metrics = parseExposition(text, format);
  });
  return metrics!;
}

/** As many of one kind, by number. */
const many = <T>(count: number, one: (text: string) => T): T[] =>
  Array.from({ length: count }, (_, index) => one(String(index).padStart(4, '0')));

describe('values', () => {
  for (const format of ['text', 'openmetrics'] as const) {
    test(`of Services, as ${format}`, async () => {
      const metrics = await scrape(busyStandIn(), format);
      const expected: readonly (readonly [name: string, labels: Readonly<Record<string, string>>, value: number])[] = [
        ['heddle_requests_total', { ...ORDERS, code: '200' }, 1],
        ['heddle_requests_total', { ...ORDERS, code: '503' }, 1],
        ['heddle_requests_total', { namespace: '', service: '', port: '', code: '404' }, 1],
        ['heddle_failures_total', { ...ORDERS, failure: 'connect-failed' }, 1],
        ['heddle_requests_active', ORDERS, 1],
        ['heddle_request_bytes_total', ORDERS, 10],
        ['heddle_response_bytes_total', ORDERS, 20],
        ['heddle_retries_total', { ...ORDERS, reason: 'connect-failure' }, 1],
        ['heddle_retries_refused_total', { ...ORDERS, reason: 'budget' }, 1],
        ['heddle_attempts_total', { ...ORDERS, code: '200' }, 1],
        ['heddle_attempts_total', { ...ORDERS, code: 'none', failure: 'connect-failed' }, 1],
        ['heddle_attempt_duration_seconds_bucket', { ...ORDERS, le: '0.004' }, 1],
        ['heddle_attempt_duration_seconds_sum', ORDERS, 0.003],
        ['heddle_ejections_total', { ...ORDERS, reason: 'consecutive' }, 1],
        ['heddle_breaker_open', ORDERS, 0],
        ['heddle_breaker_openings_total', ORDERS, 1],
        ['heddle_in_flight', ORDERS, 0],
        ['heddle_waiting', ORDERS, 0],
        ['heddle_queued_total', ORDERS, 1],
        ['heddle_queued_seconds_total', ORDERS, 0.25],
        ['heddle_faults_total', { ...ORDERS, fault: 'delay' }, 1],
        ['heddle_mirrored_requests_total', { ...ORDERS, result: 'answered' }, 1],
        ['heddle_mirrored_requests_active', ORDERS, 0],
        ['heddle_request_duration_seconds_bucket', { ...ORDERS, le: '0.002' }, 0],
        ['heddle_request_duration_seconds_bucket', { ...ORDERS, le: '0.004' }, 1],
        ['heddle_request_duration_seconds_bucket', { ...ORDERS, le: '131.072' }, 1],
        ['heddle_request_duration_seconds_bucket', { ...ORDERS, le: '+Inf' }, 2],
        ['heddle_request_duration_seconds_count', ORDERS, 2],
        ['heddle_request_duration_seconds_sum', ORDERS, 100_000.003],
      ];
      for (const [name, labels, value] of expected) assert.equal(valueOf(metrics, name, labels), value, name);
    });
  }

  test('of endpoints', async () => {
    const metrics = await scrape(busyStandIn());
    const labels = { ...ORDERS, endpoint: '10.0.0.1:80' };
    assert.equal(valueOf(metrics, 'heddle_endpoint_requests_total', labels), 1);
    assert.equal(valueOf(metrics, 'heddle_endpoint_failures_total', labels), 1);
    assert.equal(valueOf(metrics, 'heddle_endpoint_active', labels), 1);
    assert.equal(valueOf(metrics, 'heddle_endpoint_latency_seconds', labels), 0.005);
    assert.equal(valueOf(metrics, 'heddle_endpoint_connections', { ...labels, state: 'idle' }), 1);
    assert.equal(valueOf(metrics, 'heddle_endpoint_connections', { ...labels, state: 'busy' }), 1);
    assert.equal(valueOf(metrics, 'heddle_endpoint_ejected', labels), 1);
    assert.equal(valueOf(metrics, 'heddle_endpoint_ejected', { ...labels, endpoint: '10.0.0.2:80' }), 0);
    assert.equal(valueOf(metrics, 'heddle_endpoint_check', { ...labels, endpoint: '10.0.0.2:80' }), 1);
    // Nothing is known of the check of one that was not checked yet.
    assert.equal(metrics.get('heddle_endpoint_check')?.samples.length, 1);
    // Nothing is known of the latency of one that was never asked.
    assert.equal(metrics.get('heddle_endpoint_latency_seconds')?.samples.length, 1);
  });

  test('of workers and the node', async () => {
    const metrics = await scrape(busyStandIn());
    assert.equal(valueOf(metrics, 'heddle_connections_active', { worker: '0' }), 4);
    assert.equal(valueOf(metrics, 'heddle_worker_loop_lag_seconds', { worker: '1' }), 0.25);
    assert.equal(valueOf(metrics, 'heddle_worker_restarts_total', { worker: '1' }), 1);
    assert.equal(valueOf(metrics, 'heddle_worker_up', { worker: '1' }), 1);
    assert.equal(valueOf(metrics, 'heddle_connections_refused_total', { reason: 'source' }), 6);
    assert.equal(valueOf(metrics, 'heddle_pressure', { worker: '1' }), 0.5);
    assert.equal(valueOf(metrics, 'heddle_shed_total', { kind: 'upload' }), 1);
    assert.equal(valueOf(metrics, 'heddle_shed_total', { kind: 'mirror' }), 0);
    assert.equal(valueOf(metrics, 'heddle_generation_lag_seconds'), 0.034);
    assert.equal(valueOf(metrics, 'heddle_ready'), 1);
    assert.equal(valueOf(metrics, 'heddle_spans_total', { outcome: 'dropped' }), 2);
    assert.equal(valueOf(metrics, 'heddle_build_info', { version: '1.2.3', node: 'node-1' }), 1);
    assert.ok(valueOf(metrics, 'process_resident_memory_bytes') > 1e6);
    assert.ok(valueOf(metrics, 'process_cpu_seconds_total') > 0);
    assert.ok(Math.abs(valueOf(metrics, 'process_start_time_seconds') - Date.now() / 1000) < 3600);
  });

  test('of discovery, by kind', async () => {
    const source = new StandIn();
    const never = kindView('Pod', { state: 'forbidden', silentMs: null });
    source.discovery = { ...source.discovery, fresh: false, kinds: [kindView('Service'), never] };
    const metrics = await scrape(source, 'openmetrics');
    const kind = 'Service';
    assert.equal(valueOf(metrics, 'heddle_discovery_fresh'), 0);
    assert.equal(valueOf(metrics, 'heddle_discovery_silent_seconds', { kind }), 1.5);
    assert.equal(valueOf(metrics, 'heddle_discovery_objects', { kind }), 5);
    assert.equal(valueOf(metrics, 'heddle_discovery_lists_total', { kind }), 1);
    assert.equal(valueOf(metrics, 'heddle_discovery_watches_total', { kind }), 2);
    assert.equal(valueOf(metrics, 'heddle_discovery_events_total', { kind }), 30);
    assert.equal(valueOf(metrics, 'heddle_discovery_errors_total', { kind }), 4);
    // Nothing is known of the silence of one that was never heard of.
    assert.equal(metrics.get('heddle_discovery_silent_seconds')?.samples.length, 1);
  });

  for (const format of ['text', 'openmetrics'] as const) {
    test(`of the bridge, as ${format}`, async () => {
      const metrics = await scrape(busyStandIn(), format);
      const call = { policy: 'shop', operation: 'publish', result: 'ok' };
      const subscription = 'Service shop/orders';
      assert.equal(valueOf(metrics, 'heddle_bridge_link_up', { worker: '0' }), 1);
      assert.equal(valueOf(metrics, 'heddle_bridge_bytes_in_flight', { worker: '0' }), 13);
      assert.equal(valueOf(metrics, 'heddle_bridge_reconnects_total', { worker: '0' }), 0);
      assert.equal(valueOf(metrics, 'heddle_bridge_messages_total', { worker: '0', direction: 'out' }), 11);
      assert.equal(valueOf(metrics, 'heddle_bridge_messages_total', { worker: '0', direction: 'in' }), 12);
      assert.equal(valueOf(metrics, 'heddle_bridge_calls_total', call), 21);
      assert.equal(valueOf(metrics, 'heddle_bridge_call_messages_total', call), 22);
      assert.equal(valueOf(metrics, 'heddle_deliveries_total', { subscription, result: 'delivered' }), 31);
      assert.equal(valueOf(metrics, 'heddle_delivery_pending', { subscription }), 32);
      assert.equal(valueOf(metrics, 'heddle_delivery_oldest_seconds', { subscription }), 33);
    });
  }

  test('of the requests to the bridge, beside those to Services', async () => {
    const source = new StandIn();
    source.serviceMeter(0, ROW_BRIDGE).begin();
    const labels = { namespace: '', service: 'nats.mesh', port: '80' };
    assert.equal(valueOf(await scrape(source), 'heddle_requests_active', labels), 1);
  });

  test('a node without a broker has no series of links: nothing of it is down', async () => {
    const metrics = await scrape(new StandIn());
    assert.equal(metrics.get('heddle_bridge_link_up')?.samples.length, 0);
  });

  test('a node that follows files has no series of kinds', async () => {
    const source = new StandIn();
    source.discovery = { from: 'files', sources: ['shop'], fresh: true, snapshotTime: null, kinds: [] };
    const metrics = await scrape(source);
    assert.equal(metrics.get('heddle_discovery_objects')?.samples.length, 0);
    assert.equal(valueOf(metrics, 'heddle_discovery_fresh'), 1);
  });

  test('of file descriptors, where the system tells', { skip: process.platform !== 'linux' }, async () => {
    const metrics = await scrape(new StandIn());
    assert.ok(valueOf(metrics, 'process_open_fds') > 3);
    assert.ok(valueOf(metrics, 'process_max_fds') >= valueOf(metrics, 'process_open_fds'));
  });

  test('the lag of a generation grows while a worker does not have it', async () => {
    const source = new StandIn();
    const [last] = source.generations;
    source.generations = [{ ...last!, workers: [{ worker: 0, state: 'pending', afterMs: null, reason: null }] }];
    assert.ok(valueOf(await scrape(source), 'heddle_generation_lag_seconds') >= 60);
  });

  test('a node that does not trace has no series of spans', async () => {
    const source = new StandIn();
    source.traceTotals = undefined;
    assert.equal((await scrape(source)).get('heddle_spans_total')?.samples.length, 0);
  });
});

describe('series', () => {
  test('of ejection, checks and breakers are there only where a policy asks for them', async () => {
    const metrics = await scrape(new StandIn());
    for (const name of [
      'heddle_endpoint_ejected',
      'heddle_endpoint_check',
      'heddle_breaker_open',
      'heddle_breaker_openings_total',
      'heddle_attempt_duration_seconds',
    ])
      assert.equal(metrics.get(name)?.samples.length, 0, name);
  });

  test('those beyond the rows are one series, not many', async () => {
    const source = new StandIn([
      { name: 'a', endpoints: ['10.0.0.1'] },
      { name: 'b', endpoints: ['10.0.0.2'] },
      { name: 'c', endpoints: ['10.0.0.3'] },
    ]);
    source.rowsMax = 1;
    source.backendRow('shop/a:80' as never);
    source.serviceMeter(0, ROW_OTHER).begin();
    const metrics = await scrape(source);
    const services = metrics.get('heddle_requests_active')?.samples.map(({ labels }) => labels['service']);
    assert.deepEqual(services, ['', 'nats.mesh', 'a', '_other']);
    assert.equal(valueOf(metrics, 'heddle_requests_active', { service: '_other' }), 1);
    assert.equal(metrics.get('heddle_endpoint_requests_total')?.samples.length, 1);
  });

  test('subscriptions and policies beyond 500 are one series, not many', async () => {
    const source = new StandIn();
    source.deliveries = many(502, (name) => deliveryView(name, { delivered: 2, pending: 3, oldestMs: Number(name) }));
    const call = { operation: 'publish', result: 'ok', count: 2, messages: 3 };
    source.bridge = { links: [], calls: many(502, (policy) => ({ ...call, policy })) };
    const metrics = await scrape(source);
    const subscription = '_other';
    assert.equal(metrics.get('heddle_delivery_pending')?.samples.length, 501);
    assert.equal(valueOf(metrics, 'heddle_deliveries_total', { subscription, result: 'delivered' }), 4);
    assert.equal(valueOf(metrics, 'heddle_delivery_pending', { subscription }), 6);
    assert.equal(valueOf(metrics, 'heddle_delivery_oldest_seconds', { subscription }), 0.501);
    assert.equal(metrics.get('heddle_bridge_calls_total')?.samples.length, 501);
    assert.equal(valueOf(metrics, 'heddle_bridge_calls_total', { policy: '_other' }), 4);
    assert.equal(valueOf(metrics, 'heddle_bridge_call_messages_total', { policy: '_other' }), 6);
  });

  test('codes and failures that did not occur have none', async () => {
    const metrics = await scrape(new StandIn());
    assert.equal(metrics.get('heddle_requests_total')?.samples.length, 0);
    assert.equal(metrics.get('heddle_failures_total')?.samples.length, 0);
  });

  test('a label cannot break out of its quotes', async () => {
    const source = new StandIn();
    const nodeName = 'a"} 1\nheddle_ready 0 \\';
    Object.assign(source, { nodeName });
    for (const format of ['text', 'openmetrics'] as const)
      assert.equal(valueOf(await scrape(source, format), 'heddle_build_info', { node: nodeName }), 1);
  });

  test('buckets have a trace as example, in OpenMetrics only', async () => {
    const source = busyStandIn();
    source.exemplar = (row, bucket) =>
      row === ROW_FIRST
        ? { traceId: 'a1'.repeat(16), valueMs: bucket === 3 ? 3 : 1e8, timeMs: 1_700_000_000_123 }
        : undefined;
    const samples = (await scrape(source, 'openmetrics')).get('heddle_request_duration_seconds')?.samples;
    const exemplars = samples?.flatMap(({ labels, exemplar }) =>
      exemplar === undefined ? [] : [[labels['le'], exemplar]],
    );
    assert.deepEqual(exemplars, [
      ['0.004', `{trace_id="${'a1'.repeat(16)}"} 0.003 1700000000.123`],
      ['+Inf', `{trace_id="${'a1'.repeat(16)}"} 100000 1700000000.123`],
    ]);
    await scrape(source, 'text');
  });
});

describe('the format', () => {
  const PROMETHEUS_2 =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
  const cases: readonly (readonly [accept: string | undefined, format: Format])[] = [
    [undefined, 'text'],
    ['*/*', 'text'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'text'],
    [PROMETHEUS_2, 'openmetrics'],
    ['application/openmetrics-text', 'openmetrics'],
    ['application/openmetrics-text;version="1.0.0"', 'openmetrics'],
    ['application/openmetrics-text;version=2.0.0', 'text'],
    ['application/openmetrics-text;q=0', 'text'],
    ['text/plain;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5', 'text'],
    ['application/openmetrics-text;q=abc', 'text'],
  ];
  for (const [accept, format] of cases) {
    test(`is ${format} for Accept ${accept}`, () => {
      assert.equal(formatFor(accept), format);
    });
  }

  test('is named with its version', async () => {
    await withAdmin(new StandIn(), 'probe', async (port) => {
      const type = async (accept: string): Promise<string | null> =>
        (await ask(port, '/metrics', { headers: { accept } })).headers.get('content-type');
      assert.equal(await type(ACCEPT.text), 'text/plain; version=0.0.4; charset=utf-8');
      assert.equal(await type(ACCEPT.openmetrics), 'application/openmetrics-text; version=1.0.0; charset=utf-8');
    });
  });

  test('is compressed for those who ask', async () => {
    await withAdmin(new StandIn(), 'probe', async (port) => {
      const head = 'GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n';
      const plain = await exchange(port, `${head}\r\n`);
      const zipped = await exchange(port, `${head}Accept-Encoding: deflate, gzip;q=0.5\r\n\r\n`);
      const refused = await exchange(port, `${head}Accept-Encoding: gzip;q=0\r\n\r\n`);
      parseExposition(gunzipSync(Buffer.from(zipped.body, 'latin1')).toString(), 'text');
      assert.ok(zipped.body.length < plain.body.length / 3);
      parseExposition(refused.body, 'text');
    });
  });
});

describe('at 1,000 Services with 10 endpoints each', { timeout: 120_000 }, () => {
  const services = Array.from({ length: 1000 }, (_, index) => ({
    name: `service-${index}`,
    endpoints: Array.from({ length: 10 }, (__, host) => `10.${Math.floor(index / 250)}.${index % 250}.${host}`),
  }));

  test('nothing is missing', async () => {
    const metrics = await scrape(new StandIn(services), 'openmetrics');
    assert.equal(metrics.get('heddle_requests_active')?.samples.length, 1002);
    assert.equal(metrics.get('heddle_endpoint_requests')?.samples.length, 10_000);
  });

  test('the main thread goes on with other things in between', async () => {
    await withAdmin(new StandIn(services), 'probe', async (port) => {
      let turns = 0;
      let going = true;
      const count = (): void => {
        turns++;
        if (going) setImmediate(count);
      };
      const scraping = ask(port, '/metrics');
      count();
      await scraping;
      going = false;
      // Made in one piece it would be a handful.
      assert.ok(turns > 20, `Expected many turns, got ${turns}`);
    });
  });

  test('40 scrapes at once get the same one: asking more often costs no more', async () => {
    await withAdmin(new StandIn(services), 'probe', async (port) => {
      const time = async (scrapes: number): Promise<number> => {
        const before = process.cpuUsage();
        await Promise.all(Array.from({ length: scrapes }, () => ask(port, '/metrics', { method: 'HEAD' })));
        const { user, system } = process.cpuUsage(before);
        return user + system;
      };
      await time(1);
      const one = await time(1);
      assert.ok((await time(40)) < 20 * Math.max(one, 50_000));
    });
  });

  test('large answers, again and again, in both formats (Node 26.10 has ended on one)', async () => {
    await withAdmin(new StandIn(services), 'admin', async (port) => {
      for (let round = 0; round < 15; round++) {
        for (const accept of Object.values(ACCEPT)) {
          const reply = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { accept, connection: 'close' } });
          assert.ok((await reply.arrayBuffer()).byteLength > 4_000_000);
        }
        assert.ok((await ask(port, '/endpoints')).text.length > 1_000_000);
        assert.ok((await ask(port, '/stats')).text.length > 100_000);
      }
    });
  });
});
