/** A real Prometheus scrapes the probe port and answers what the dashboard asks. Skipped where none is installed. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { sleep } from '../harness/client.ts';
import { ask, busyStandIn, withAdmin } from './admin/stand-in.ts';

const WAIT_MS = 60_000;
const installed = spawnSync('prometheus', ['--version']).status === 0;

interface QueryAnswer {
  readonly status: string;
  readonly error?: string;
  readonly data: { readonly result: readonly { readonly value: readonly [time: number, value: string] }[] };
}

/** A port that was free a moment ago: Prometheus does not tell which one the system chose. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}

async function withPrometheus(target: number, run: (port: number) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-prometheus-'));
  const port = await freePort();
  writeFileSync(
    join(folder, 'prometheus.yml'),
    `{global: {scrape_interval: 1s, scrape_timeout: 1s}, scrape_configs: [{job_name: heddle, static_configs: [{targets: ["127.0.0.1:${target}"]}]}]}`,
  );
  const flags = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
  const listen = [`--web.listen-address=127.0.0.1:${port}`, '--enable-feature=exemplar-storage'];
  const child = spawn('prometheus', [...flags, ...listen], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const onExit = (): void => void child.kill('SIGKILL');
  process.on('exit', onExit);
  try {
    await run(port);
  } finally {
    child.kill('SIGKILL');
    await ended;
    process.removeListener('exit', onExit);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function query(port: number, expression: string): Promise<QueryAnswer> {
  const { text } = await ask(port, `/api/v1/query?query=${encodeURIComponent(expression)}`);
  return JSON.parse(text) as QueryAnswer;
}

async function valueOnceThere(port: number, expression: string): Promise<string> {
  const giveUpMs = performance.now() + WAIT_MS;
  for (;;) {
    const value = (await query(port, expression).catch(() => undefined))?.data.result[0]?.value[1];
    if (value !== undefined) return value;
    if (performance.now() > giveUpMs) throw new Error(`Expected Prometheus to know ${expression} within ${WAIT_MS} ms`);
    await sleep(200);
  }
}

test('Prometheus scrapes a node and understands every expression of the dashboard', { skip: !installed }, async () => {
  const source = busyStandIn();
  const traceId = 'a1'.repeat(16);
  source.exemplar = () => ({ traceId, valueMs: 0.05, timeMs: Date.now() });
  await withAdmin(source, 'probe', async (target) => {
    await withPrometheus(target, async (port) => {
      const orders = 'service="orders"';
      assert.equal(await valueOnceThere(port, `heddle_requests_total{${orders},code="503"}`), '1');
      assert.equal(await valueOnceThere(port, `heddle_request_duration_seconds_count{${orders}}`), '2');
      assert.equal(await valueOnceThere(port, 'up{job="heddle"}'), '1');
      const dashboard = readFileSync('deploy/dashboards/heddle.json', 'utf8');
      const expressions = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(
        ([, text]) => JSON.parse(text!) as string,
      );
      assert.ok(expressions.length > 40);
      for (const expression of expressions) {
        const concrete = expression.replaceAll('$__rate_interval', '1m').replaceAll(/\$\w+/g, '.*');
        const { status, error } = await query(port, concrete);
        assert.equal(status, 'success', `${concrete}: ${error}`);
      }
      const now = Date.now() / 1000;
      const exemplars = await ask(
        port,
        `/api/v1/query_exemplars?query=heddle_request_duration_seconds_bucket&start=${now - 600}&end=${now + 60}`,
      );
      assert.ok(exemplars.text.includes(traceId), exemplars.text.slice(0, 300));
    });
  });
});
