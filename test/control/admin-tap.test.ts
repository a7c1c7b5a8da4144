/** `GET /tap`: exchanges as an event stream. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TAP_BYTES_MAX, TapStream } from '../../src/control/admin/tap.ts';
import { Client, eventually, sleep } from '../harness/client.ts';
import { ask, StandIn, withAdmin } from './admin/stand-in.ts';

async function watch(port: number, query = ''): Promise<Client> {
  const client = await Client.connect(port);
  client.send(`GET /tap${query} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await client.until(() => client.received.includes(': watching\n\n'), { what: 'the stream to begin' });
  return client;
}

describe('GET /tap', () => {
  test('sends each exchange as one event', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      const client = await watch(port);
      assert.match(client.received, /^HTTP\/1\.1 200 OK\r\n/);
      assert.match(client.received, /content-type: text\/event-stream\r\n/i);
      source.show({ path: '/a' });
      source.show({ path: '/ü\n' });
      await client.until(() => client.received.includes('\\n"}\n\n'), { what: 'two events' });
      const received = Buffer.from(client.received, 'latin1').toString();
      assert.ok(received.includes('data: {"path":"/a"}\n\ndata: {"path":"/ü\\n"}\n\n'), received);
      client.destroy();
    });
  });

  test('passes on what is asked for', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      const client = await watch(port, '?service=shop/orders&method=GET&path=/a&status=5xx&failedOnly&sample=0.25');
      assert.deepEqual(
        [...source.taps].map(({ filter }) => filter),
        [{ service: 'shop/orders', method: 'GET', path: '/a', status: '5xx', failedOnly: true, sample: 0.25 }],
      );
      client.destroy();
    });
  });

  test('the tap ends when its reader leaves', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      const client = await watch(port);
      assert.equal(source.taps.size, 1);
      client.reset();
      await eventually(() => source.taps.size === 0, { what: 'the tap to end' });
    });
  });

  test('the tap ends when the port is closed', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      await watch(port);
    });
    await eventually(() => source.taps.size === 0, { what: 'the tap to end' });
  });

  test('one too many is 429 and says why', async () => {
    const source = new StandIn();
    source.tapsMax = 0;
    await withAdmin(source, 'admin', async (port, defects) => {
      const { status, text } = await ask(port, '/tap');
      assert.equal(status, 429);
      assert.match(text, /Expected at most 0 taps, got one more/);
      assert.deepEqual(defects, []);
    });
  });

  test('HEAD begins no tap', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      const { status, headers } = await ask(port, '/tap', { method: 'HEAD' });
      assert.deepEqual([status, headers.get('content-type'), source.taps.size], [200, 'text/event-stream', 0]);
    });
  });

  test('a reader that stalls loses events, learns how many, and costs a bounded amount', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      const client = await watch(port);
      client.socket.pause();
      const count = 400;
      const path = `/${'a'.repeat(64 * 1024)}`;
      const before = process.memoryUsage().arrayBuffers;
      for (let index = 0; index < count; index++) {
        source.show({ index, path });
        if (index % 10 === 0) await sleep(0);
      }
      const grown = process.memoryUsage().arrayBuffers - before;
      assert.ok(grown < 8 * TAP_BYTES_MAX, `Expected a few MB, got ${grown}`);
      client.socket.resume();
      await client.until(() => client.received.includes('event: dropped\n'), {
        what: 'news of the loss',
        waitMs: 15_000,
      });
      source.show({ index: 'last' });
      await client.until(() => client.received.includes('"last"}\n\n'), { what: 'the last event', waitMs: 15_000 });
      const seen = client.received.match(/data: \{"index":\d/g)?.length ?? 0;
      const lost = [...client.received.matchAll(/event: dropped\ndata: \{"count":(\d+)\}\n\n/g)];
      assert.equal(seen + lost.reduce((sum, [, number]) => sum + Number(number), 0), count);
      assert.ok(seen < count);
      client.destroy();
    });
  });

  test('a heartbeat every 15 s keeps the connection', (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const stream = new TapStream(new StandIn(), {});
    const read = (): string => String(stream.read() ?? '');
    assert.equal(read(), ': watching\n\n');
    t.mock.timers.tick(15_000);
    assert.equal(read(), ':\n\n');
    stream.destroy();
  });
});
