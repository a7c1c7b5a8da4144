import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, exchange, sleep } from '../harness/client.ts';
import { assertFailure, assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { parseRequest, type Request } from '../harness/message.ts';
import { okReply } from '../harness/recorder.ts';
import { refusedAddress, Upstream, type UpstreamConnection } from '../harness/upstream.ts';

/** Does with each request what `react` says; requests are counted by their target. */
class Reactive {
  readonly upstream: Upstream;
  readonly heads: ReadonlyMap<string, number>;

  private constructor(upstream: Upstream, heads: ReadonlyMap<string, number>) {
    this.upstream = upstream;
    this.heads = heads;
  }

  static async start(
    react: (request: Request, connection: UpstreamConnection, turn: number) => void,
  ): Promise<Reactive> {
    const heads = new Map<string, number>();
    const upstream = await Upstream.start((connection) => {
      let turn = 0;
      connection.socket.on('data', () => {
        const request = parseRequest(connection.received);
        if (request === undefined) return;
        connection.received = '';
        heads.set(request.target, (heads.get(request.target) ?? 0) + 1);
        react(request, connection, turn++);
      });
    });
    return new Reactive(upstream, heads);
  }
}

let mesh: Mesh;
const reactives: Reactive[] = [];

async function reactive(...parameters: Parameters<typeof Reactive.start>): Promise<string> {
  const made = await Reactive.start(...parameters);
  reactives.push(made);
  return made.upstream.address;
}

const ok = (request: Request, connection: UpstreamConnection): void => connection.send(okReply(request));
/** Answers the first request of a connection, and dies at the second. */
const dieSecond =
  (how: 'fin' | 'rst') =>
  (request: Request, connection: UpstreamConnection, turn: number): void => {
    if (turn === 0) connection.send(okReply(request));
    else if (how === 'fin') connection.socket.end();
    else connection.socket.resetAndDestroy();
  };
const die = (_request: Request, connection: UpstreamConnection): void => void connection.socket.resetAndDestroy();

function seen(target: string): number {
  return reactives.reduce((sum, { heads }) => sum + (heads.get(target) ?? 0), 0);
}

before(async () => {
  const refused = await refusedAddress();
  mesh = await Mesh.start({
    workers: 1,
    services: [
      { name: 'halfdown', endpoints: [await reactive(ok), refused] },
      { name: 'down', endpoints: [refused] },
      { name: 'stalefin', endpoints: [await reactive(dieSecond('fin'))] },
      { name: 'stalerst', endpoints: [await reactive(dieSecond('rst'))] },
      { name: 'dying', endpoints: [await reactive(die)] },
      { name: 'onedies', endpoints: [await reactive(die), await reactive(ok)] },
      {
        name: 'partial',
        endpoints: [
          await reactive((_request, connection) =>
            connection.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'),
          ),
        ],
      },
      {
        name: 'headcut',
        endpoints: [await reactive((_request, connection) => connection.socket.end('HTTP/1.1 200 OK\r\nConte'))],
      },
      {
        name: 'unavailable',
        endpoints: [
          await reactive((_request, connection) => connection.send('HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno')),
        ],
      },
      {
        name: 'idleclose',
        endpoints: [
          await reactive((request, connection) => {
            connection.send(okReply(request));
            setTimeout(() => connection.socket.end(), 20);
          }),
        ],
      },
    ],
  });
});
after(async () => {
  await mesh.stop();
  await Promise.all(reactives.map(({ upstream }) => upstream.stop()));
});

function get(service: string, target: string) {
  return exchange(mesh.port, `GET ${target} HTTP/1.1\r\nHost: ${service}.test\r\n\r\n`);
}

function post(service: string, target: string) {
  return exchange(mesh.port, `POST ${target} HTTP/1.1\r\nHost: ${service}.test\r\nContent-Length: 5\r\n\r\nhello`);
}

describe('an endpoint that refuses connections', { concurrency: 8 }, () => {
  test('is no concern of clients while another one accepts', async () => {
    for (let turn = 0; turn < 20; turn++) {
      assertPassed(await get('halfdown', `/get-${turn}`));
      assertPassed(await post('halfdown', `/post-${turn}`));
    }
  });
  test('alone is 503 connect-failed', async () => {
    assertFailure(await get('down', '/x'), 'connect-failed');
    assertFailure(await post('down', '/x'), 'connect-failed');
  });
  test('leaves the client connection usable', async () => {
    const client = await Client.connect(mesh.port);
    client.send('GET /x HTTP/1.1\r\nHost: down.test\r\n\r\nGET /x HTTP/1.1\r\nHost: halfdown.test\r\n\r\n');
    assertFailure(await client.reply(), 'connect-failed');
    assertPassed(await client.reply());
    client.destroy();
  });
});

describe('a kept-alive connection found dead', () => {
  for (const service of ['stalefin', 'stalerst']) {
    test(`(${service}) is replaced for GET, unseen by the client`, async () => {
      for (let turn = 0; turn < 6; turn++) assertPassed(await get(service, `/${service}-${turn}`));
    });
    test(`(${service}) is no reason to send a POST twice`, async () => {
      // One connection is kept alive now; it dies on the next request.
      await get(service, `/${service}-warm`);
      const target = `/${service}-post`;
      const reply = await post(service, target);
      if (reply.status !== 200) assertFailure(reply, 'upstream-reset');
      assert.equal(seen(target), 1);
    });
  }
  test('that was closed while idle is not used', async () => {
    for (let turn = 0; turn < 4; turn++) {
      assertPassed(await post('idleclose', `/idle-${turn}`));
      assert.equal(seen(`/idle-${turn}`), 1);
      await sleep(50);
    }
  });
});

describe('an endpoint that dies before its reply', { concurrency: 8 }, () => {
  test('is 502 where there is no other', async () => {
    assertFailure(await get('dying', '/dying-get'), 'upstream-reset');
    assert.ok(seen('/dying-get') <= 2, `Expected two attempts at most, got ${seen('/dying-get')}`);
  });
  test('gets a POST once', async () => {
    assertFailure(await post('dying', '/dying-post'), 'upstream-reset');
    assert.equal(seen('/dying-post'), 1);
  });
  test('is unseen by GET where there is another one', async () => {
    for (let turn = 0; turn < 20; turn++) assertPassed(await get('onedies', `/one-${turn}`));
  });
  test('is unseen by PUT with a body where there is another one', async () => {
    for (let turn = 0; turn < 20; turn++) {
      assertPassed(
        await exchange(mesh.port, `PUT /put-${turn} HTTP/1.1\r\nHost: onedies.test\r\nContent-Length: 5\r\n\r\nhello`),
      );
    }
  });
  test('never gets a POST repeated elsewhere', async () => {
    for (let turn = 0; turn < 12; turn++) {
      await post('onedies', `/nopost-${turn}`);
      assert.equal(seen(`/nopost-${turn}`), 1);
    }
  });
});

describe('a reply that has begun', { concurrency: 8 }, () => {
  test('and breaks off is a broken transfer, not tried again', async () => {
    const reply = await get('partial', '/partial');
    assert.equal(reply.complete, false);
    assert.equal(seen('/partial'), 1);
  });
  test('with half a head is 502', async () => {
    const reply = await get('headcut', '/headcut');
    assert.equal(reply.status, 502);
    assert.equal(seen('/headcut'), 1);
  });
  test('with a status of failure is the answer', async () => {
    assertPassed(await get('unavailable', '/unavailable'), 503, 'no');
    assert.equal(seen('/unavailable'), 1);
  });
});
