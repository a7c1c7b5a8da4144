/** A real Prometheus scrapes the probe port and answers what the dashboard asks. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { sleep } from '../harness/client.ts';
import { Prometheus, providePrometheus } from '../servers/prometheus.ts';
import { orSkip } from '../servers/provide.ts';
import { busyStandIn, withAdmin } from './admin/stand-in.ts';

const WAIT_MS = 60_000;
const provided = await providePrometheus();

async function valueOnceThere(prometheus: Prometheus, expression: string): Promise<number> {
  const giveUpMs = performance.now() + WAIT_MS;
  for (;;) {
    const value = await prometheus.value(expression);
    if (!Number.isNaN(value)) return value;
    if (performance.now() > giveUpMs) throw new Error(`Expected Prometheus to know ${expression} within ${WAIT_MS} ms`);
    await sleep(200);
  }
}

test('Prometheus scrapes a node and understands every expression of the dashboard', async (t) => {
  const folder = orSkip(t, 'Prometheus', provided);
  if (folder === undefined) return;
  const source = busyStandIn();
  const traceId = 'a1'.repeat(16);
  source.exemplar = () => ({ traceId, valueMs: 0.05, timeMs: Date.now() });
  await withAdmin(source, 'probe', async (target) => {
    const prometheus = await Prometheus.start(folder, `127.0.0.1:${target}`);
    try {
      const orders = 'service="orders"';
      assert.equal(await valueOnceThere(prometheus, `heddle_requests_total{${orders},code="503"}`), 1);
      assert.equal(await valueOnceThere(prometheus, `heddle_request_duration_seconds_count{${orders}}`), 2);
      assert.equal(await valueOnceThere(prometheus, 'up{job="heddle"}'), 1);
      const dashboard = readFileSync('deploy/dashboards/heddle.json', 'utf8');
      const expressions = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(
        ([, text]) => JSON.parse(text!) as string,
      );
      assert.ok(expressions.length > 40);
      for (const expression of expressions)
        await prometheus.query(expression.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, '.*'));
      const traces = await prometheus.exemplars('heddle_request_duration_seconds_bucket');
      assert.ok(traces.includes(traceId), traces.join());
    } finally {
      await prometheus.stop();
    }
  });
});
