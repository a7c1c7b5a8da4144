import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { WebSocket, WebSocketServer } from 'ws';
import { Client, eventually } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import { Mesh } from '../harness/mesh.ts';
import { valueOf, parseRequest } from '../harness/message.ts';
import { Upstream, type UpstreamConnection } from '../harness/upstream.ts';

let mesh: Mesh;
let upstream: Upstream;
/** Echoes what comes after its 101, and closes its side when the client has closed. */
let sockets: { readonly server: ReturnType<typeof createServer>; readonly port: number };

before(async () => {
  upstream = await Upstream.start(script);
  sockets = await startWebSockets();
  mesh = await Mesh.start({
    services: [
      { name: 'raw', endpoints: [upstream.address] },
      { name: 'ws', endpoints: [`127.0.0.1:${sockets.port}`] },
    ],
  });
});
after(async () => {
  await mesh.stop();
  await upstream.stop();
  sockets.server.closeAllConnections();
  sockets.server.close();
});

function script(connection: UpstreamConnection): void {
  let tunnelled = false;
  connection.socket.on('data', (bytes: Buffer) => {
    if (tunnelled) {
      connection.send(`<${bytes.toString('latin1')}>`);
      return;
    }
    const request = parseRequest(connection.received);
    if (request === undefined) {
      if (!connection.received.startsWith('GET '))
        tunnelled = connection.socket.write(`<${connection.received}>`) || true;
      return;
    }
    connection.received = '';
    tunnelled = request.target === '/accept';
    connection.send(
      tunnelled
        ? 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello'
        : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno',
    );
  });
  connection.socket.on('end', () => connection.socket.end('bye'));
}

async function startWebSockets(): Promise<typeof sockets> {
  const server = createServer();
  const echo = new WebSocketServer({ server });
  echo.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

const ASK = (path: string): string =>
  `GET /${path} HTTP/1.1\r\nHost: raw.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`;

describe('Connection: Upgrade', { concurrency: 8 }, () => {
  test('opens a tunnel after 101, in both directions', async () => {
    const client = await Client.connect(mesh.port);
    client.send(ASK('accept'));
    const reply = await client.head();
    assert.deepEqual(
      [reply.status, valueOf(reply, 'upgrade'), valueOf(reply, 'connection')?.toLowerCase()],
      [101, 'echo', 'upgrade'],
    );
    await client.take('hello');
    client.send('one');
    await client.take('<one>');
    client.send('\x00\xff\r\n\r\nGET / HTTP/1.1\r\n');
    await client.take('<\x00\xff\r\n\r\nGET / HTTP/1.1\r\n>');
    client.destroy();
  });

  test('keeps the half that is open when the client closes its side', async () => {
    const client = await Client.connect(mesh.port);
    client.send(ASK('accept'));
    await client.head();
    await client.take('hello');
    client.end();
    await client.take('bye');
    assert.equal(await client.closed(), 'fin');
    client.destroy();
  });

  test('that is answered by another status opens none: what follows is a request', async () => {
    const client = await Client.connect(mesh.port);
    client.send(ASK('refuse'));
    assertPassed(await client.reply(), 200, 'no');
    client.send('GET /refuse HTTP/1.1\r\nHost: raw.test\r\n\r\n');
    assertPassed(await client.reply(), 200, 'no');
    client.send('no request at all\r\n\r\n');
    assert.equal((await client.reply()).status, 400);
    client.destroy();
  });

  test('early bytes wait for the 101 and are tunnelled then', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`${ASK('accept')}early`);
    await client.head();
    await client.until(() => client.rest.includes('<early>'), { what: 'the early bytes' });
    client.destroy();
  });

  test('early bytes are no tunnel when the answer is no', async () => {
    const client = await Client.connect(mesh.port);
    client.send(`${ASK('refuse')}GET /refuse HTTP/1.1\r\nHost: raw.test\r\n\r\n`);
    assertPassed(await client.reply(), 200, 'no');
    assertPassed(await client.reply(), 200, 'no');
    client.destroy();
  });

  test('leaves no socket behind when the client vanishes', async () => {
    const client = await Client.connect(mesh.port);
    client.send(ASK('accept'));
    await client.head();
    const open = upstream.open.length;
    client.reset();
    await eventually(() => upstream.open.length < open, { what: 'the upstream side of the tunnel to close' });
  });
});

describe('CONNECT', { concurrency: 8 }, () => {
  test('to an enabled Service is a tunnel to an endpoint', async () => {
    const client = await Client.connect(mesh.port);
    client.send('CONNECT raw.test:80 HTTP/1.1\r\nHost: raw.test:80\r\n\r\n');
    const reply = await client.head();
    assert.equal(reply.status, 200);
    assert.deepEqual([valueOf(reply, 'content-length'), valueOf(reply, 'transfer-encoding')], [undefined, undefined]);
    client.send('any bytes');
    await client.take('<any bytes>');
    client.end();
    await client.take('bye');
    await client.closed();
    client.destroy();
  });

  test('carries HTTP of the client untouched', async () => {
    const client = await Client.connect(mesh.port);
    client.send('CONNECT raw.test:80 HTTP/1.1\r\nHost: raw.test:80\r\n\r\n');
    await client.head();
    client.send('GET /refuse HTTP/1.1\r\nHost: inside\r\n\r\n');
    const reply = await client.reply();
    assertPassed(reply, 200, 'no');
    assert.equal(valueOf(reply, 'via'), undefined);
    client.destroy();
  });
});

describe('WebSocket with ws at both ends', { concurrency: 8 }, () => {
  test('text and binary messages of many sizes come back as they were', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${mesh.port}/chat`, { headers: { host: 'ws.test' } });
    await once(socket, 'open');
    for (const size of [0, 1, 125, 126, 65_535, 65_536, 1_000_000]) {
      const message = Buffer.alloc(size, size % 251);
      socket.send(message);
      const [echo] = (await once(socket, 'message')) as [Buffer];
      assert.ok(message.equals(echo), `Expected ${size} bytes back, got ${echo.length}`);
    }
    socket.close(1000, 'done');
    assert.equal(((await once(socket, 'close')) as [number])[0], 1000);
  });

  test('fifty at the same time', async () => {
    const works = Array.from({ length: 50 }, async (_, index) => {
      const socket = new WebSocket(`ws://127.0.0.1:${mesh.port}/`, { headers: { host: 'ws.test' } });
      await once(socket, 'open');
      for (let turn = 0; turn < 10; turn++) {
        socket.send(`${index}/${turn}`);
        const [echo] = (await once(socket, 'message')) as [Buffer];
        assert.equal(echo.toString(), `${index}/${turn}`);
      }
      socket.terminate();
    });
    await Promise.all(works);
  });
});
