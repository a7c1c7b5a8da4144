import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BACKEND_ROWS } from '../../src/model/rows.ts';
import type { Sample } from '../control/admin/exposition.ts';
import { Client, exchange, sleep } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import type { Mesh } from '../harness/mesh.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { exposition, withMesh } from '../harness/telemetry.ts';
import { refusedAddress } from '../harness/upstream.ts';

const ADMIN = '--admin-listen=127.0.0.1:0';
const WAIT_MS = 8000;

let recorder: Recorder;
let stale: Recorder;
let down: string;
before(async () => {
  recorder = await Recorder.start((request, connection) => {
    if (request.target === '/hold') return;
    const status = /^\/(\d{3})/.exec(request.target)?.[1];
    if (status === undefined) connection.send(okReply(request, 'x'.repeat(10)));
    else connection.send(`HTTP/1.1 ${status} Status\r\nContent-Length: 3\r\n\r\nabc`);
  });
  // Answers the first request of a connection, and dies at the second.
  stale = await Recorder.start((request, connection, index) => {
    if (index === 0) connection.send(okReply(request));
    else connection.socket.resetAndDestroy();
  });
  down = await refusedAddress();
});
after(async () => {
  await recorder.stop();
  await stale.stop();
});

type Labels = Sample['labels'];

/** Sum over the series of this name that have these labels among their own. */
function sum(samples: readonly Sample[], name: string, labels: Labels = {}): number {
  return samples
    .filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    )
    .reduce((total, { value }) => total + value, 0);
}

/** Reads the metrics until they satisfy. */
async function until(
  mesh: Mesh,
  done: (samples: readonly Sample[]) => boolean,
  what: string,
): Promise<readonly Sample[]> {
  const giveUpMs = performance.now() + WAIT_MS;
  for (;;) {
    const samples = await exposition(mesh);
    if (done(samples)) return samples;
    if (performance.now() > giveUpMs) throw new Error(`Expected ${what} within ${WAIT_MS} ms`);
    await sleep(100);
  }
}

async function send(mesh: Mesh, host: string, paths: readonly string[], body = ''): Promise<void> {
  const client = await Client.connect(mesh.port);
  for (const path of paths) {
    client.send(`PUT ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await client.reply();
  }
  client.destroy();
}

const times = (count: number, path: string): string[] => Array.from({ length: count }, () => path);

describe('metrics', { concurrency: 4 }, () => {
  test('are what clients did, over all workers', async () => {
    await withMesh(
      {
        flags: [ADMIN],
        services: [
          { name: 'orders', endpoints: [recorder.address] },
          { name: 'stale', endpoints: [stale.address] },
          { name: 'down', endpoints: [down] },
        ],
      },
      async (mesh) => {
        // Connections go to the worker with the fewest, so that both have some.
        await Promise.all([
          ...times(6, '').map(async () => send(mesh, 'orders.test', times(20, '/ok'), 'hello')),
          send(mesh, 'orders.test', [...times(7, '/404/x'), ...times(5, '/503/x'), ...times(3, '/299/x'), '/418/x']),
          send(mesh, 'stale.test', ['/1', '/2']),
          send(mesh, 'down.test', times(4, '/')),
          send(mesh, 'nobody.test', times(9, '/')),
        ]);
        const samples = await until(
          mesh,
          (all) => sum(all, 'heddle_requests_total') >= 151,
          'all requests to be counted',
        );
        const orders = { namespace: 'test', service: 'orders', port: '80' };
        const codes = (labels: Labels): Readonly<Record<string, number>> =>
          Object.fromEntries(
            samples
              .filter(
                ({ name, labels: own }) => name === 'heddle_requests_total' && own['service'] === labels['service'],
              )
              .map(({ labels: own, value }) => [own['code'], value]),
          );
        assert.deepEqual(codes(orders), { '200': 120, '404': 7, '503': 5, '2xx': 3, '4xx': 1 });
        assert.deepEqual(codes({ service: '' }), { '404': 9 });
        assert.deepEqual(codes({ service: 'stale' }), { '200': 2 });
        assert.equal(sum(samples, 'heddle_retries_total', { service: 'stale' }), 1);
        assert.equal(sum(samples, 'heddle_failures_total', { service: 'down', failure: 'connect-failed' }), 4);
        assert.equal(sum(samples, 'heddle_failures_total', { failure: 'no-route' }), 9);
        assert.equal(sum(samples, 'heddle_request_bytes_total', orders), 600);
        assert.equal(sum(samples, 'heddle_response_bytes_total', orders), 1200 + 16 * 3);
        assert.equal(sum(samples, 'heddle_request_duration_seconds_count', orders), 136);
        assert.equal(sum(samples, 'heddle_request_duration_seconds_count'), sum(samples, 'heddle_requests_total'));
        assert.equal(sum(samples, 'heddle_endpoint_requests_total', orders), 136);
        assert.equal(sum(samples, 'heddle_requests_active'), 0);
        assert.equal(sum(samples, 'heddle_connections_total'), 10);
        const open = await exposition(mesh, 'openmetrics');
        assert.equal(sum(open, 'heddle_requests_total', orders), 136);
      },
    );
  });

  test('never fall when a worker dies, and forget what it had under way', async () => {
    const services = [{ name: 'orders', endpoints: [recorder.address] }];
    await withMesh({ flags: [ADMIN], services, saboteur: true }, async (mesh) => {
      const clients = await Promise.all(times(8, '').map(async () => Client.connect(mesh.port)));
      for (const client of clients) {
        for (const _ of times(10, '')) {
          client.send('GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n');
          assertPassed(await client.reply());
        }
        client.send('GET /hold HTTP/1.1\r\nHost: orders.test\r\n\r\n');
      }
      const counted = (samples: readonly Sample[]): number => sum(samples, 'heddle_requests_total', { code: '200' });
      await until(
        mesh,
        (samples) => counted(samples) === 80 && sum(samples, 'heddle_requests_active') === 8,
        'all to be counted',
      );
      await mesh.sabotage(0, 'throw');
      const fell: number[] = [];
      const later = await until(
        mesh,
        (samples) => {
          if (counted(samples) < 80) fell.push(counted(samples));
          return sum(samples, 'heddle_worker_restarts_total') === 1 && sum(samples, 'heddle_worker_up') === 2;
        },
        'another worker',
      );
      assert.deepEqual(fell, []);
      assert.equal(counted(later), 80);
      assert.equal(sum(later, 'heddle_request_duration_seconds_count', { service: 'orders' }), 80);
      // Connections were spread evenly.
      assert.deepEqual([sum(later, 'heddle_requests_active'), sum(later, 'heddle_endpoint_active')], [4, 4]);
      for (const client of clients) client.destroy();
    });
  });

  test('of a Service that is gone go away, and who gets its place begins at zero', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'heddle-metrics-'));
    const put = (name: string): void => {
      writeFileSync(join(folder, '.new'), JSON.stringify(service(name, recorder.address)));
      renameSync(join(folder, '.new'), join(folder, 'one.yaml'));
    };
    put('first');
    await withMesh({ flags: [ADMIN, '--manifests', folder], services: [] }, async (mesh) => {
      const of = (samples: readonly Sample[], name: string): number =>
        sum(samples, 'heddle_request_duration_seconds_count', { service: name });
      await send(mesh, 'first.test', times(25, '/'), 'hello');
      await until(mesh, (samples) => of(samples, 'first') === 25, 'the first Service to be counted');
      const known = (name: string) => (samples: readonly Sample[]) =>
        samples.some(({ labels }) => labels['service'] === name);
      put('second');
      await until(mesh, (samples) => known('second')(samples) && !known('first')(samples), 'the second Service alone');
      // Rows are taken back once a second, and then given to who comes next.
      await sleep(1500);
      put('third');
      const samples = await until(mesh, known('third'), 'the third Service');
      assert.equal(of(samples, 'third'), 0);
      assert.equal(sum(samples, 'heddle_request_bytes_total', { service: 'third' }), 0);
      await send(mesh, 'third.test', times(3, '/'));
      await until(mesh, (all) => of(all, 'third') === 3, 'the third Service to be counted');
    }).finally(() => {
      rmSync(folder, { recursive: true });
    });
  });

  test('of more Services than there are places share a series, and are right in sum', async () => {
    const names = Array.from({ length: BACKEND_ROWS + 52 }, (_, index) => `s${String(index).padStart(4, '0')}`);
    await withMesh(
      {
        flags: [ADMIN],
        services: names.map((name) => ({ name, endpoints: [recorder.address] })),
      },
      async (mesh) => {
        const idle = await exposition(mesh);
        const counted = idle.filter(({ name }) => name === 'heddle_requests_active');
        const shown = new Set(counted.map(({ labels }) => labels['service']));
        const without = names.filter((name) => !shown.has(name));
        // Three places have a use of their own.
        assert.equal(without.length, 55);
        assert.ok(shown.has('_other'));
        for (const name of without.slice(0, 3)) assertPassed(await get(mesh, `${name}.test`));
        const own = names.find((name) => shown.has(name))!;
        assertPassed(await get(mesh, `${own}.test`));
        await until(
          mesh,
          (samples) =>
            sum(samples, 'heddle_requests_total', { service: '_other' }) === 3 &&
            sum(samples, 'heddle_requests_total', { service: own }) === 1 &&
            sum(samples, 'heddle_requests_total') === 4,
          'three requests in the shared series and one beside it',
        );
      },
    );
  });
});

async function get(mesh: Mesh, host: string): Promise<Awaited<ReturnType<typeof exchange>>> {
  return exchange(mesh.port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
}

function service(name: string, address: string): object {
  const annotations = { 'heddle.dev/enabled': 'true', 'heddle.dev/endpoints': address };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'test', annotations },
    spec: { ports: [{ port: 80 }] },
  };
}
