import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import type { BackendStats, EndpointsAnswer, EndpointView, StatsAnswer } from '../../src/model/admin.ts';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { type LogLine, Mesh } from '../harness/mesh.ts';
import { accessLine, accessLines, ask, withMesh } from '../harness/telemetry.ts';
import { Upstream, type UpstreamConnection } from '../harness/upstream.ts';

const ADMIN = '--admin-listen=127.0.0.1:0';
const LOG = [
  '--access-log=all',
  '--access-log-fields=path,method,status,failure,attempts,durationMs,upstreamMs,service',
];
const MS = { head: 1000, idle: 500, stream: 500 };
const WAIT_MS = 8000;

const GET = (path: string, host: string, more = ''): string => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;

/** What the upstream does is in the path. */
function script(connection: UpstreamConnection): void {
  connection.socket.on('data', (bytes: Buffer) => {
    const what = /^[A-Z]+ \/(\w+)/.exec(bytes.toString('latin1'))?.[1];
    if (what === 'stalls') connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
    else if (what === 'events')
      connection.send(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
      );
    else if (what === 'switch')
      connection.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    else if (what === 'ok') connection.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
  });
}

let upstream: Upstream;
before(async () => (upstream = await Upstream.start(script)));
after(async () => upstream.stop());

function assertLine(line: LogLine, values: LogLine): void {
  const some = Object.fromEntries(Object.keys(values).map((name) => [name, line[name]]));
  assert.deepEqual(some, values, JSON.stringify(line));
}

function assertWithin(value: unknown, least: number, most: number): void {
  assert.ok(Number(value) >= least && Number(value) <= most, `Expected ${least} to ${most}, got ${String(value)}`);
}

async function endpointsOf(mesh: Mesh, name: string): Promise<readonly EndpointView[]> {
  const { endpoints } = await ask<EndpointsAnswer>(mesh, '/endpoints');
  return endpoints.filter((endpoint) => endpoint.name === name);
}

/** What is counted of a Service once this many of its exchanges have ended. */
async function statsOf(mesh: Mesh, name: string, requests: number): Promise<BackendStats> {
  const giveUpMs = performance.now() + WAIT_MS;
  for (;;) {
    const { backends } = await ask<StatsAnswer>(mesh, '/stats');
    const found = backends.find((backend) => backend.name === name);
    if (found?.requests === requests) return found;
    assert.ok(performance.now() < giveUpMs, `Expected ${requests} requests of ${name}, got ${found?.requests}`);
    await sleep(50);
  }
}

/** Sends, and waits until the mesh has closed; the rest of the client's words is silence. */
async function untilCut(mesh: Mesh, text: string): Promise<void> {
  const client = await Client.connect(mesh.port);
  client.send(text);
  await client.closed(WAIT_MS);
  client.destroy();
}

describe('an exchange in which nothing moves', { concurrency: 8 }, () => {
  let mesh: Mesh;
  before(async () => {
    const timeouts = [
      `--timeout-head=${MS.head}ms`,
      `--timeout-idle=${MS.idle}ms`,
      `--timeout-stream-idle=${MS.stream}ms`,
    ];
    mesh = await Mesh.start({
      workers: 1,
      flags: [ADMIN, ...LOG, ...timeouts],
      services: ['stalls', 'events', 'switch', 'tunnel', 'ok'].map((name) => ({ name, endpoints: [upstream.address] })),
    });
  });
  after(async () => mesh.stop());

  test('because the endpoint stalls in the middle of its reply counts against the endpoint, as reply-stalled', async () => {
    await untilCut(mesh, GET('/stalls', 'stalls.test'));
    assertLine(await accessLine(mesh, { path: '/stalls' }), { status: 200, failure: 'reply-stalled' });
    const { failed, failures } = await statsOf(mesh, 'stalls', 1);
    assert.deepEqual([failed, failures], [1, { 'reply-stalled': 1 }]);
    assert.deepEqual(
      (await endpointsOf(mesh, 'stalls')).map((endpoint) => endpoint.failures),
      [1],
    );
  });

  for (const [what, name, text, line] of [
    ['an event stream', 'events', GET('/events', 'events.test'), { path: '/events', status: 200 }],
    [
      'an upgraded connection',
      'switch',
      GET('/switch', 'switch.test', 'Connection: Upgrade\r\nUpgrade: x\r\n'),
      { path: '/switch', status: 101 },
    ],
    [
      'a tunnel',
      'tunnel',
      'CONNECT tunnel.test:80 HTTP/1.1\r\nHost: tunnel.test:80\r\n\r\n',
      { method: 'CONNECT', status: 200 },
    ],
  ] as const) {
    test(`and is ${what} ends as stream-idle, and counts against nobody`, async () => {
      await untilCut(mesh, text);
      assertLine(await accessLine(mesh, line), { failure: 'stream-idle' });
      const { failed, failures } = await statsOf(mesh, name, 1);
      assert.deepEqual([failed, failures], [0, { 'stream-idle': 1 }]);
      const [endpoint] = await endpointsOf(mesh, name);
      assert.equal(endpoint?.failures, 0);
      // A failed attempt would count as one that took as long as --timeout-connect.
      assertWithin(endpoint?.latencyMs, 0, 1000);
    });
  }

  test('because the head stops is logged with the time that the client took', async () => {
    const reply = await exchange(mesh.port, 'GET /slow HTTP/1.1\r\nHos', { waitMs: WAIT_MS });
    assertFailure(reply, 'head-timeout');
    const { durationMs } = await accessLine(mesh, { failure: 'head-timeout' });
    // The clock that says when a request began is 100 ms behind at most.
    assertWithin(durationMs, MS.head - 10, MS.head + WAIT_MS);
  });

  test('before a malformed head came at once does not count as its duration', async () => {
    const client = await Client.connect(mesh.port);
    client.send(GET('/ok/before', 'ok.test'));
    assertPassed(await client.reply());
    const silenceMs = 1500;
    await sleep(silenceMs);
    client.send('GET /malformed HTTP/1.1\r\nBroken\r\n\r\n');
    assertFailure(await client.reply(), 'bad-request');
    client.destroy();
    const { durationMs } = await accessLine(mesh, { failure: 'bad-request' });
    assertWithin(durationMs, 0, silenceMs - 500);
  });

  test('for a while within its head has sane durations all the same', async () => {
    const startMs = performance.now();
    const client = await Client.connect(mesh.port);
    await client.sendPieces(['GET /ok/slow HTTP/1.1\r\nHo', 'st: ok.test\r\n\r\n'], MS.head / 2);
    assertPassed(await client.reply());
    client.destroy();
    const tookMs = performance.now() - startMs;
    const { durationMs, upstreamMs } = await accessLine(mesh, { path: '/ok/slow' });
    assertWithin(upstreamMs, 0, tookMs);
    assertWithin(durationMs, Number(upstreamMs), tookMs + 110);
  });
});

test('what is under way at the end of --drain-timeout is cut and logged as shutdown', async () => {
  const services = [{ name: 'orders', endpoints: [upstream.address] }];
  const flags = [...LOG, '--drain-timeout=500ms'];
  await withMesh({ services, flags, workers: 1 }, async (mesh) => {
    const clients: Client[] = [];
    const earlier = upstream.connections.length;
    for (const text of [
      GET('/waits', 'orders.test'),
      GET('/stalls/cut', 'orders.test'),
      GET('/switch/cut', 'orders.test', 'Connection: Upgrade\r\nUpgrade: x\r\n'),
    ]) {
      const client = await Client.connect(mesh.port);
      client.send(text);
      clients.push(client);
    }
    const [, stalls, switched] = clients;
    await stalls!.until(() => stalls!.received.includes('abc'));
    await switched!.head();
    await eventually(() => upstream.connections.length === earlier + clients.length, { what: 'all to be upstream' });
    mesh.signal('SIGTERM');
    assert.equal(await mesh.exited(), 0);
    const ends = accessLines(mesh).map(({ path, status, failure }) => [path, status, failure]);
    assert.deepEqual(
      ends.toSorted(([a], [b]) => String(a).localeCompare(String(b))),
      [
        ['/stalls/cut', 200, 'shutdown'],
        ['/switch/cut', 101, 'shutdown'],
        ['/waits', 0, 'shutdown'],
      ],
    );
    for (const client of clients) client.destroy();
  });
});

/** One Service with these endpoints. */
function service(name: string, endpoints: readonly string[]): string {
  const annotations = { 'heddle.dev/enabled': 'true', 'heddle.dev/endpoints': endpoints.join(',') };
  const metadata = { name, namespace: 'test', annotations };
  return JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 80 }] } });
}

/** Upstreams that never answer. @returns the connections on which something came. */
async function holding(
  t: TestContext,
  count: number,
): Promise<{ readonly held: readonly UpstreamConnection[]; readonly addresses: readonly string[] }> {
  const held: UpstreamConnection[] = [];
  const hold = (connection: UpstreamConnection): void => {
    connection.socket.on('data', () => held.push(connection));
  };
  const upstreams = await Promise.all(Array.from({ length: count }, async () => Upstream.start(hold)));
  t.after(async () => Promise.all(upstreams.map(async (one) => one.stop())));
  return { held, addresses: upstreams.map(({ address }) => address) };
}

/** A folder of manifests that is rewritten while a mesh follows it. */
function manifests(t: TestContext): { readonly folder: string; readonly put: (...documents: string[]) => void } {
  const folder = mkdtempSync(join(tmpdir(), 'heddle-endings-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const put = (...documents: string[]): void => {
    writeFileSync(join(folder, '.new'), documents.join('\n---\n'));
    renameSync(join(folder, '.new'), join(folder, 'services.yaml'));
  };
  return { folder, put };
}

test('a failure of a Service that was removed is answered, not tried again, and counted by no other', async (t) => {
  const { held, addresses } = await holding(t, 2);
  const { folder, put } = manifests(t);
  put(service('old', addresses));
  await withMesh({ services: [], workers: 1, flags: [ADMIN, ...LOG, '--manifests', folder] }, async (mesh) => {
    const client = await Client.connect(mesh.port);
    client.send(GET('/waits', 'old.test'));
    await eventually(() => held.length === 1, { what: 'the request to be upstream' });
    put(service('other', [upstream.address]));
    await untilRouted(mesh, 'other.test');
    // Rows are taken back once a second, and then given to who comes next.
    await sleep(1500);
    const fresh = ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'];
    put(service('other', [upstream.address]), service('fresh', fresh), service('last', [upstream.address]));
    await untilRouted(mesh, 'last.test');
    held[0]!.socket.resetAndDestroy();
    assertFailure(await client.reply(), 'upstream-reset');
    client.destroy();
    assertLine(await accessLine(mesh, { path: '/waits' }), { attempts: 1, service: 'test/old:80' });
    assert.equal(held.length, 1);
    const { endpoints } = await ask<EndpointsAnswer>(mesh, '/endpoints');
    const counted = endpoints.filter(({ attempts, failures, active }) => attempts + failures + active > 0);
    assert.deepEqual(
      counted.map(({ name, attempts, failures }) => [name, attempts > 0, failures]),
      [
        ['last', true, 0],
        ['other', true, 0],
      ],
    );
    assert.equal((await statsOf(mesh, 'fresh', 0)).retries, 0);
  });
});

test('where an endpoint that was removed fails, an endpoint that is left gets the request', async (t) => {
  const { held, addresses } = await holding(t, 1);
  const { folder, put } = manifests(t);
  put(service('one', addresses));
  await withMesh({ services: [], workers: 1, flags: [...LOG, '--manifests', folder] }, async (mesh) => {
    const client = await Client.connect(mesh.port);
    client.send(GET('/ok', 'one.test'));
    await eventually(() => held.length === 1, { what: 'the request to be upstream' });
    put(service('one', [upstream.address]), service('other', [upstream.address]));
    await untilRouted(mesh, 'other.test');
    held[0]!.socket.resetAndDestroy();
    assertPassed(await client.reply(), 200, 'ok');
    client.destroy();
    assertLine(await accessLine(mesh, { path: '/ok', service: 'test/one:80' }), { attempts: 2 });
  });
});

/** The one worker knows this Service: then it has the plan in which it came. */
async function untilRouted(mesh: Mesh, host: string): Promise<void> {
  const giveUpMs = performance.now() + WAIT_MS;
  while ((await exchange(mesh.port, GET('/ok', host))).status !== 200) {
    assert.ok(performance.now() < giveUpMs, `Expected ${host} to be routed`);
    await sleep(50);
  }
}
