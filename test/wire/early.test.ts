import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, eventually, sleep } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { valueOf } from '../harness/message.ts';
import { Upstream, type UpstreamConnection } from '../harness/upstream.ts';

// Replies that come before their request is complete: the rest of the request must go nowhere, and never become a request.

let mesh: Mesh;
let upstream: Upstream;

before(async () => {
  upstream = await Upstream.start(script);
  mesh = await Mesh.start({ services: [{ name: 'orders', endpoints: [upstream.address] }] });
});
after(async () => {
  await mesh.stop();
  await upstream.stop();
});

/** Answers as soon as a head is there, whatever is announced to follow. */
function script(connection: UpstreamConnection): void {
  let answered = 0;
  connection.socket.on('data', () => {
    const heads = connection.received.split('\r\n\r\n').length - 1;
    for (; answered < heads; answered++) {
      const target = /^(?:GET|POST|PUT) (\S+) /m.exec(connection.received)?.[1] ?? '';
      connection.send(
        `HTTP/1.1 ${target.startsWith('/refuse') ? '413 Too Large' : '200 OK'}\r\nContent-Length: 2\r\n\r\nno`,
      );
      if (target === '/refuse/fin') connection.socket.end();
      if (target === '/refuse/rst') setTimeout(() => connection.socket.resetAndDestroy(), 20);
    }
  });
}

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: orders.test\r\n\r\n';

function smuggled(): boolean {
  // As a body it may arrive; as a request it would carry what the mesh adds.
  return upstream.connections.some(({ received }) =>
    /GET \/smuggled HTTP\/1\.1\r\n(?:[^\r\n]+\r\n)*x-forwarded-for/i.test(received),
  );
}

describe('a reply before the end of the request', { concurrency: 8 }, () => {
  for (const how of ['keep', 'fin', 'rst']) {
    test(`(${how}) reaches a client that is still sending`, async () => {
      const client = await Client.connect(mesh.port);
      client.send(
        `POST /refuse/${how} HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 5000000\r\n\r\n${'x'.repeat(1000)}`,
      );
      const reply = await client.reply();
      assertPassed(reply, 413, 'no');
      client.destroy();
    });

    test(`(${how}) does not make a request of what the client sends on`, async () => {
      const client = await Client.connect(mesh.port);
      client.send(
        `POST /refuse/${how} HTTP/1.1\r\nHost: orders.test\r\nContent-Length: ${SMUGGLED.length + 2}\r\n\r\nab`,
      );
      assert.equal((await client.reply()).status, 413);
      client.send(SMUGGLED);
      await client.quiet(150);
      assert.equal(smuggled(), false);
      assert.ok(!client.rest.startsWith('HTTP/1.1 2'), client.rest);
      client.destroy();
    });
  }

  test('after Expect: 100-continue takes the place of the 100, and a body that is not sent is not awaited', async () => {
    const client = await Client.connect(mesh.port);
    client.send(
      `POST /refuse/expect HTTP/1.1\r\nHost: orders.test\r\nExpect: 100-continue\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`,
    );
    const reply = await client.reply();
    assert.equal(reply.status, 413);
    client.send(SMUGGLED);
    await client.quiet(150);
    assert.equal(smuggled(), false);
    if (!/close/i.test(valueOf(reply, 'connection') ?? '')) {
      // It was the body; now a real request is served.
      client.send('GET /next HTTP/1.1\r\nHost: orders.test\r\n\r\n');
      assertPassed(await client.reply(), 200, 'no');
    }
    client.destroy();
  });

  test('leaves no upstream connection on which half a request stands', async () => {
    const client = await Client.connect(mesh.port);
    client.send('POST /refuse/half HTTP/1.1\r\nHost: orders.test\r\nContent-Length: 100\r\n\r\nabc');
    assert.equal((await client.reply()).status, 413);
    client.destroy();
    const carrying = upstream.connections.find(({ received }) => received.includes('/refuse/half'));
    await eventually(() => carrying?.closed === true || carrying?.ended === true || carrying?.reset === true, {
      what: 'the half request to be given up',
    });
    assert.equal((carrying?.received.match(/ HTTP\/1\.1\r\n/g) ?? []).length, 1);
  });

  test('of the mesh itself reaches a client that goes on sending megabytes', async () => {
    const client = await Client.connect(mesh.port);
    client.send('POST / HTTP/1.1\r\nHost: unknown.test\r\nContent-Length: 8000000\r\n\r\n');
    for (let turn = 0; turn < 40; turn++) {
      client.send('x'.repeat(100_000));
      await sleep(1);
    }
    // RFC 9112 section 9.6: a reset would destroy the reply before it is read.
    assert.equal((await client.reply()).status, 404);
    client.destroy();
  });
});
