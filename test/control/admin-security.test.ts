/** What hostile clients of the admin port and the probe port try, and what they get. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { ask, StandIn, withAdmin } from './admin/stand-in.ts';

/** A request as a browser would send it, with every line under control. */
function request(method: string, path: string, headers: Readonly<Record<string, string>>, body = ''): string {
  const fields = { ...headers, 'connection': 'close', 'content-length': String(body.length) };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

describe('a page whose name was made to resolve to this address (DNS rebinding)', () => {
  const refused = [
    'evil.example',
    'evil.example:4192',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'localhost@evil',
    '0x7f.1',
    '127.1',
    '[::1',
    '::1',
    '[127.0.0.1]',
    'localhost:80:80',
    'localhost/',
  ];
  for (const host of refused) {
    test(`is refused as Host ${host}`, async () => {
      await withAdmin(new StandIn(), 'admin', async (port) => {
        for (const path of ['/config', '/metrics', '/', '/livez', '/nothing']) {
          const reply = await exchange(port, request('GET', path, { host }));
          assert.equal(reply.status, 421, path);
          assert.doesNotMatch(reply.body, /workers|paths/);
        }
      });
    });
  }

  for (const host of [
    '127.0.0.1',
    '127.0.0.1:4192',
    '127.0.0.1:',
    '[::1]:4192',
    '[::1]',
    'localhost',
    'LOCALHOST:1',
    '10.1.2.3:80',
  ]) {
    test(`but Host ${host} is let in: no name can stand for it`, async () => {
      await withAdmin(new StandIn(), 'admin', async (port) => {
        assert.equal((await exchange(port, request('GET', '/config', { host }))).status, 200);
      });
    });
  }

  test('gains nothing by a second Host, by none, or by an absolute target', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const attempts = [
        'GET /config HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
        'GET /config HTTP/1.1\r\nConnection: close\r\n\r\n',
        'GET /config HTTP/1.0\r\n\r\n',
        'GET http://localhost/config HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
        'GET http://evil.example/config HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
      ];
      for (const attempt of attempts) assert.ok([400, 421].includes((await exchange(port, attempt)).status), attempt);
    });
  });

  test('the probe port takes any Host: the kubelet may say what it likes', async () => {
    await withAdmin(new StandIn(), 'probe', async (port) => {
      assert.equal((await exchange(port, request('GET', '/livez', { host: 'node-1.cluster' }))).status, 200);
    });
  });
});

describe('a page of another origin', () => {
  const host = 'localhost:4192';
  const foreign: readonly Readonly<Record<string, string>>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost:8080' },
    { origin: 'https://localhost:4192' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const headers of foreign) {
    test(`can neither steer nor watch (${JSON.stringify(headers)})`, async () => {
      const source = new StandIn();
      await withAdmin(source, 'admin', async (port) => {
        const type = { 'content-type': 'application/json' };
        const put = request('PUT', '/log-level', { host, ...headers, ...type }, '{"level":"trace"}');
        assert.equal((await exchange(port, put)).status, 403);
        assert.equal((await exchange(port, request('POST', '/trace-probe', { host, ...headers }))).status, 403);
        assert.equal((await exchange(port, request('GET', '/tap', { host, ...headers }))).status, 403);
        assert.deepEqual([source.logLevel, source.taps.size], ['info', 0]);
      });
    });
  }

  test('our own page can', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      const headers = { host, 'origin': 'http://localhost:4192', 'sec-fetch-site': 'same-origin' };
      const type = { 'content-type': 'application/json' };
      const put = request('PUT', '/log-level', { ...headers, ...type }, '{"level":"warn"}');
      assert.equal((await exchange(port, put)).status, 200);
      assert.equal(source.logLevel, 'warn');
    });
  });

  test('is never given leave to read: no answer has a header of CORS', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const preflight = { 'origin': 'http://evil.example', 'access-control-request-method': 'PUT' };
      for (const [method, path] of [
        ['GET', '/config'],
        ['OPTIONS', '/log-level'],
      ] as const) {
        const { headers } = await ask(port, path, { method, headers: preflight });
        assert.deepEqual(
          [...headers.keys()].filter((name) => name.startsWith('access-control')),
          [],
        );
        assert.equal(headers.get('x-content-type-options'), 'nosniff');
        assert.equal(headers.get('cache-control'), 'no-store');
      }
    });
  });
});

describe('bodies and heads', () => {
  test('a body that is too large is refused before it is read', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const head = 'PUT /log-level HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
      const reply = await exchange(port, `${head}Content-Length: 100000\r\n\r\n{`, { method: 'PUT' });
      assert.equal(reply.status, 413);
    });
  });

  test('a body of another type is refused', async () => {
    const source = new StandIn();
    await withAdmin(source, 'admin', async (port) => {
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
        const put = request('PUT', '/log-level', { 'host': 'localhost', 'content-type': type }, '{"level":"trace"}');
        assert.equal((await exchange(port, put)).status, 415, type);
      }
      assert.equal(source.logLevel, 'info');
    });
  });

  test('a head that is too large is 431, and what is no HTTP is 400', async () => {
    await withAdmin(new StandIn(), 'probe', async (port) => {
      const large = `GET /livez HTTP/1.1\r\nHost: a\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`;
      assert.equal((await exchange(port, large)).status, 431);
      assert.equal((await exchange(port, 'SSH-2.0-x\r\n\r\n', { method: 'GET' })).status, 400);
    });
  });

  test('CONNECT and Upgrade open nothing', async () => {
    await withAdmin(new StandIn(), 'admin', async (port) => {
      const upgrade = { host: 'localhost', upgrade: 'websocket' };
      const client = await Client.connect(port);
      client.send('CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await client.closed();
      assert.doesNotMatch(client.received, /^HTTP\/1\.1 2/);
      const head = `GET /livez HTTP/1.1\r\nHost: ${upgrade.host}\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n`;
      assert.notEqual((await exchange(port, head)).status, 101);
    });
  });

  test('a defect is 500 without a word of the program, and the node is told of it', async () => {
    const source = new StandIn();
    source.probeTrace = () => Promise.reject(new Error('secret of the program'));
    await withAdmin(source, 'admin', async (port, defects) => {
      const { status, text } = await ask(port, '/trace-probe', { method: 'POST' });
      assert.equal(status, 500);
      assert.doesNotMatch(text, /secret|\.ts|node:/);
      assert.deepEqual(
        defects.map((error) => (error as Error).message),
        ['secret of the program'],
      );
    });
  });
});

describe('slow clients', () => {
  for (const [title, sent] of [
    ['silent', ''],
    ['slow', 'GET /livez HTTP/1.1\r\nHost: a\r\nX-'],
  ] as const) {
    test(`300 ${title} connections do not keep the kubelet out`, async () => {
      await withAdmin(new StandIn(), 'probe', async (port) => {
        const clients: Client[] = [];
        try {
          for (let index = 0; index < 300; index++) {
            const client = await Client.connect(port);
            client.send(sent);
            clients.push(client);
          }
          assert.equal((await ask(port, '/livez')).status, 200);
          // Those that had waited longest made room.
          await eventually(() => clients.filter(({ closing }) => closing === undefined).length <= 101, {
            what: 'at most 100 connections',
            waitMs: 10_000,
          });
        } finally {
          for (const client of clients) client.destroy();
        }
      });
    });
  }

  test('a head that does not come to its end is cut off with 408', async () => {
    await withAdmin(new StandIn(), 'probe', async (port) => {
      const client = await Client.connect(port);
      client.send('GET /livez HTTP/1.1\r\nHost: a\r\n');
      assert.equal((await client.reply({ waitMs: 20_000 })).status, 408);
      await client.closed(20_000);
      client.destroy();
    });
  });

  test('those who take an answer and do not read it make room for one another', async () => {
    const services = Array.from({ length: 300 }, (_, index) => ({ name: `service-${index}`, endpoints: ['10.0.0.1'] }));
    await withAdmin(new StandIn(services), 'probe', async (port) => {
      const clients: Client[] = [];
      try {
        for (let index = 0; index < 30; index++) {
          const client = await Client.connect(port);
          client.socket.pause();
          client.send('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n');
          clients.push(client);
        }
        assert.match((await ask(port, '/metrics')).text, /service-299/);
        assert.equal((await ask(port, '/livez')).status, 200);
      } finally {
        for (const client of clients) client.destroy();
      }
    });
  });

  test('closing the port cuts whoever is there', async () => {
    const client = await new Promise<Client>((resolve, reject) => {
      withAdmin(new StandIn(), 'probe', async (port) => {
        resolve(await Client.connect(port));
        await sleep(50);
      }).catch(reject);
    });
    await client.closed();
    client.destroy();
  });
});
