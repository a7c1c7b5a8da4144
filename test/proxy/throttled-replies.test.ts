/** A throttle in its place: between an endpoint and a client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FrontendPolicy, NO_POLICY } from '../../src/model/routing.ts';
import type { BackendId } from '../../src/model/snapshot.ts';
import { Client, eventually } from '../harness/client.ts';
import { configurationOf, DataPath } from '../harness/data-path.ts';
import { Recorder, type Respond } from '../harness/recorder.ts';
import { staged } from '../harness/staged.ts';

const WAIT = { waitMs: 15_000 };
const GET = 'GET / HTTP/1.1\r\nHost: orders.test\r\n\r\n';

interface Scene {
  readonly bytesPerS: number;
  readonly respond: Respond;
  readonly flags?: Readonly<Record<string, string>>;
}

/** `test/orders`, whose replies are throttled. */
async function throttled(
  { bytesPerS, respond, flags = {} }: Scene,
  play: (mesh: DataPath, main: Recorder) => Promise<void>,
): Promise<void> {
  await staged(async (start) => {
    const main = await start(Recorder.start(respond));
    const policy: FrontendPolicy = { ...NO_POLICY, faults: [{ type: 'throttle', bytesPerS, share: 1 }] };
    const services = configurationOf([{ name: 'orders', tiers: [[main.address]] }]);
    const routing = { id: 'test/orders:80' as BackendId, policy, consumers: {}, all: undefined };
    await play(await start(DataPath.start({ ...services, routings: [routing] }, 1, flags)), main);
  });
}

function replyOf(body: string, length: number = body.length): string {
  return `HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${body}`;
}

async function atRest(mesh: DataPath): Promise<void> {
  await eventually(() => mesh.totals('test/orders:80').active === 0, { what: 'no exchange under way', ...WAIT });
}

test('each reply of a connection takes its time, and is counted as a fault', async () => {
  const body = 'abc'.repeat(2000);
  await throttled({ bytesPerS: 10_000, respond: (_, one) => one.send(replyOf(body)) }, async (mesh) => {
    const client = await Client.connect(mesh.port);
    for (let turn = 0; turn < 2; turn++) {
      const startMs = performance.now();
      client.send(GET);
      assert.equal((await client.reply(WAIT)).body, body);
      // 600 ms, but for a slice at its start.
      assert.ok(performance.now() - startMs >= 540);
    }
    client.destroy();
    await atRest(mesh);
    assert.deepEqual(mesh.totals('test/orders:80').faults, [['throttle', 2]]);
  });
});

test('a client that leaves while its reply is held harms nobody who has its connection now', async () => {
  const respond: Respond = (_, one) => one.send(replyOf('y'.repeat(6000)));
  await throttled({ bytesPerS: 5000, respond }, async (mesh, main) => {
    const first = await Client.connect(mesh.port);
    first.send(GET);
    // All of it is here and held: its connection is free.
    await eventually(() => first.received.includes('yy'), WAIT);
    const second = await Client.connect(mesh.port);
    second.send(GET);
    await main.request(2);
    first.destroy();
    assert.equal((await second.reply(WAIT)).body.length, 6000);
    second.destroy();
    await atRest(mesh);
    assert.ok(main.upstream.connections.every(({ reset }) => !reset));
  });
});

test('a reply that breaks off is cut, so that nobody takes it for complete', async () => {
  const respond: Respond = (_, one) => {
    one.send(replyOf('y'.repeat(300), 6000));
    one.socket.end();
  };
  await throttled({ bytesPerS: 2000, respond }, async (mesh) => {
    const client = await Client.connect(mesh.port);
    client.send(GET);
    await eventually(() => client.closing === 'reset', WAIT);
    await atRest(mesh);
  });
});

test('a reply may take longer than any timeout, as long as something passes', async () => {
  const flags = { 'timeout-idle': '500ms', 'timeout-request': '500ms' };
  const respond: Respond = (_, one) => one.send(replyOf('z'.repeat(60)));
  await throttled({ bytesPerS: 40, respond, flags }, async (mesh) => {
    const client = await Client.connect(mesh.port);
    client.send(GET);
    assert.equal((await client.reply(WAIT)).body, 'z'.repeat(60));
    client.destroy();
  });
});
