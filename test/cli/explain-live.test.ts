import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { ExplainAnswer, StatsAnswer } from '../../src/model/admin.ts';
import { Client, sleep } from '../harness/client.ts';
import { Mesh, type ServiceSpec } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { Recorder } from '../harness/recorder.ts';
import { heddle } from './heddle.ts';

// A node with two workers that says what it does, and does it.

const ROUTE = {
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name: 'orders', namespace: 'shop' },
  spec: {
    parentRefs: [{ group: '', kind: 'Service', name: 'orders', port: 80 }],
    rules: [
      {
        matches: [{ path: { type: 'PathPrefix', value: '/cart' } }],
        backendRefs: [
          { name: 'orders', port: 80, weight: 90 },
          { name: 'orders-v2', port: 80, weight: 10 },
        ],
      },
      {
        matches: [{ path: { type: 'PathPrefix', value: '/v2' } }],
        filters: [
          { type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/new' } } },
          { type: 'RequestHeaderModifier', requestHeaderModifier: { set: [{ name: 'x-canary', value: 'yes' }] } },
        ],
        backendRefs: [{ name: 'orders-v2', port: 80 }],
      },
    ],
  },
};

const STUCK_MS_MAX = 20_000;

let mesh: Mesh;
let recorder: Recorder;
let services: readonly ServiceSpec[];
let adminPort: number;

before(async () => {
  recorder = await Recorder.start();
  const endpoints = [recorder.address];
  services = [
    { name: 'orders', namespace: 'shop', endpoints, annotations: { 'heddle.dev/explain-on-header': 'true' } },
    { name: 'orders-v2', namespace: 'shop', endpoints },
  ];
  mesh = await Mesh.start({ services, objects: [ROUTE], workers: 2, flags: ['--admin-listen=127.0.0.1:0'] });
  adminPort = Number(mesh.log.find(({ msg, listener }) => msg === 'Listening' && listener === 'admin')?.['port']);
});
after(async () => {
  try {
    await mesh.stop();
  } finally {
    await recorder.stop();
  }
});

async function asked(...args: readonly string[]): Promise<ExplainAnswer> {
  const { out, err } = await heddle(['explain', ...args, '--admin', `http://127.0.0.1:${adminPort}`, '-o', 'json']);
  assert.equal(err, '');
  return JSON.parse(out) as ExplainAnswer;
}

test('tells the generation in force, who decides, and the endpoints with their state', async () => {
  const { explanation, endpoints, load, settings } = await asked('http://orders.shop/cart', '--roll', '0.93');
  assert.ok(explanation.generation > 0);
  assert.deepEqual(
    [explanation.rule?.object, explanation.rule?.field, explanation.backend?.id],
    ['HTTPRoute shop/orders', 'spec.rules[0]', 'shop/orders-v2:80'],
  );
  assert.deepEqual(
    endpoints.map(({ name, address, state }) => [name, address, state]),
    [['orders-v2', recorder.address, 'used']],
  );
  assert.ok(explanation.terms.some(({ name, value }) => name === 'timeout-request' && value === '15s'));
  assert.ok(settings.some(({ name, value }) => name === 'limit-pending' && value === '1024'));
  assert.deepEqual([load?.inFlight, load?.maxInFlight, load?.retriesLeft], [0, 1024, 100]);
});

test('a seed says the same on a node as with its manifests', async (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-explain-'));
  context.after(() => rmSync(folder, { recursive: true }));
  const objects = [...services.map(manifest), ROUTE];
  writeFileSync(path.join(folder, 'shop.yaml'), objects.map((object) => JSON.stringify(object)).join('\n---\n'));
  const args = ['http://orders.shop/cart/1?x=1', '--seed', '7', '-H', 'x-user: 7'];
  const { out } = await heddle(['explain', ...args, '-f', folder, '-o', 'json']);
  const offline = (JSON.parse(out) as ExplainAnswer).explanation;
  const live = (await asked(...args)).explanation;
  const common = { generation: 0, rule: { ...live.rule, file: null, line: null } };
  assert.deepEqual({ ...live, ...common }, { ...offline, rule: { ...offline.rule, file: null, line: null } });
});

test('what it says arrives: path, header, and no other lines', async () => {
  const { explanation } = await asked('http://orders.shop/v2/1', '-H', 'accept: */*', '-H', 'x-request-id: r1');
  recorder.requests.length = 0;
  await replyTo(await Client.connect(mesh.port), '/v2/1', 'x-request-id: r1\r\n');
  const [request] = recorder.requests;
  const arrived = [
    `${request!.method} ${request!.target} HTTP/1.1`,
    ...request!.fields.map(([name, value]) => `${name}: ${value}`),
  ];
  const lines = (texts: readonly string[]): readonly string[] =>
    texts
      .map((text) => text.toLowerCase().replace('192.0.2.1', '127.0.0.1'))
      // What is left of the time is another one each time.
      .map((text) => text.replace(/^(x-heddle-timeout-ms): 1[45]\d{3}$/, '$1: about 15 s'))
      .toSorted();
  assert.deepEqual(lines(explanation.sent), lines(arrived));
});

test('a request that asks gets the decision as a header, the same from each worker', async () => {
  // Each connection goes to the worker with the fewest.
  await mesh.withoutClients();
  const clients = [await Client.connect(mesh.port), await Client.connect(mesh.port)];
  try {
    const replies = await Promise.all(clients.map((client) => ask(client, '/v2/1', 'x-heddle-explain: 1\r\n')));
    const { workers } = (await (await fetch(`http://127.0.0.1:${adminPort}/stats`)).json()) as StatsAnswer;
    assert.ok(
      workers.every(({ connections }) => connections > 0),
      JSON.stringify(workers),
    );
    const lines = replies.map((reply) => valueOf(reply, 'x-heddle-explain'));
    assert.equal(lines[0], lines[1]);
    assert.equal(
      lines[0],
      'service=shop/orders:80; rule=HTTPRoute shop/orders spec.rules[1]; match=spec.rules[1].matches[0]; ' +
        'target=Service shop/orders-v2:80 (100%); backend=shop/orders-v2:80',
    );
  } finally {
    for (const client of clients) client.destroy();
  }
});

test('a request that does not ask gets none', async () => {
  const client = await Client.connect(mesh.port);
  const reply = await replyTo(client, '/v2/1', '');
  assert.equal(valueOf(reply, 'x-heddle-explain'), undefined);
});

describe('a worker that stands still', () => {
  test('is not asked: another one says the same', async () => {
    const flags = ['--admin-listen=127.0.0.1:0'];
    const other = await Mesh.start({ services, objects: [ROUTE], workers: 2, flags, saboteur: true });
    try {
      const admin = other.log.find(({ msg, listener }) => msg === 'Listening' && listener === 'admin')?.['port'];
      const origin = `http://127.0.0.1:${String(admin)}`;
      const first = await explained(origin);
      await other.sabotage(0, 'hang');
      const untilMs = performance.now() + STUCK_MS_MAX;
      while ((await statesOf(origin))[0] === 'ready') {
        assert.ok(performance.now() < untilMs, 'Expected worker 0 to be stuck');
        await sleep(20);
      }
      assert.deepEqual(await explained(origin), first);
    } finally {
      await other.stop();
    }
  });
});

async function explained(origin: string): Promise<ExplainAnswer['explanation']> {
  const reply = await fetch(`${origin}/explain?url=http://orders.shop/cart&seed=3`);
  assert.equal(reply.status, 200);
  return ((await reply.json()) as ExplainAnswer).explanation;
}

async function statesOf(origin: string): Promise<readonly string[]> {
  const { workers } = (await (await fetch(`${origin}/stats`)).json()) as StatsAnswer;
  return workers.map(({ state }) => state);
}

async function ask(client: Client, target: string, lines: string): ReturnType<Client['reply']> {
  client.send(`GET ${target} HTTP/1.1\r\nHost: orders.shop\r\naccept: */*\r\n${lines}\r\n`);
  return await client.reply();
}

async function replyTo(client: Client, target: string, lines: string): ReturnType<Client['reply']> {
  try {
    return await ask(client, target, lines);
  } finally {
    client.destroy();
  }
}

function manifest({ name, namespace, endpoints = [], annotations = {} }: ServiceSpec): object {
  const own = { 'heddle.dev/enabled': 'true', 'heddle.dev/endpoints': endpoints.join(',') };
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, annotations: { ...own, ...annotations } },
    spec: { ports: [{ port: 80 }] },
  };
}
