import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { EXPORT_LIMITS, Exporter, tracesUrl } from '../../src/control/exporter.ts';
import { eventually, sleep } from '../harness/client.ts';

/** Fast enough for tests, and slow enough for a busy machine. */
const LIMITS = { ...EXPORT_LIMITS, gatherMs: 50, retryFirstMs: 20, retryMaxMs: 100, giveUpMs: 10_000 };
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';

/** As `batch` and the probe make them. */
interface Span {
  readonly n: number;
  readonly traceId?: string;
}

interface Got {
  readonly atMs: number;
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly spans: readonly Span[];
  readonly resource: unknown;
}

class Receiver {
  readonly got: Got[] = [];
  connections = 0;
  underWay = 0;
  underWayMost = 0;
  readonly url: URL;

  constructor(port: number) {
    this.url = new URL(`http://127.0.0.1:${port}`);
  }

  get spans(): readonly number[] {
    return this.got.flatMap(({ spans }) => spans.map(({ n }) => n));
  }
}

/** A receiver that answers as told: `answer` gets the number of the request, from 0. */
async function receiver(
  t: TestContext,
  answer: (response: ServerResponse, index: number, receiver: Receiver) => unknown = accept,
): Promise<Receiver> {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      const bytes = Buffer.concat(pieces);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
      const { resourceSpans } = JSON.parse(body.toString()) as {
        resourceSpans: [{ resource: unknown; scopeSpans: [{ spans: Span[] }] }];
      };
      const { method, url, headers } = request;
      const [{ resource, scopeSpans }] = resourceSpans;
      const { spans } = scopeSpans[0];
      fake.got.push({ atMs: performance.now(), method, url, headers, spans, resource });
      fake.underWayMost = Math.max(fake.underWayMost, ++fake.underWay);
      response.on('close', () => fake.underWay--);
      answer(response, fake.got.length - 1, fake);
    });
  });
  server.on('connection', () => fake.connections++);
  const fake = new Receiver(await listening(t, server));
  t.after(() => server.closeAllConnections());
  return fake;
}

async function listening(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function accept(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
}

class Notes {
  readonly warnings: string[] = [];
  readonly news: string[] = [];
  warn = (fields: { readonly reason: string }): void => void this.warnings.push(fields.reason);
  info = (_fields: object, text: string): void => void this.news.push(text);
}

function exporter(
  t: TestContext,
  endpoint: URL,
  { limits = LIMITS, notes = new Notes() }: { limits?: typeof EXPORT_LIMITS; notes?: Notes } = {},
): Exporter {
  const one = new Exporter({
    endpoint,
    resource: { 'service.name': 'heddle', 'service.version': '1.2.3' },
    log: notes as unknown as ConstructorParameters<typeof Exporter>[0]['log'],
    limits,
  });
  t.after(() => one.close(0));
  return one;
}

function batch(first: number, count = 1, padding = ''): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, index) => `{"n":${first + index},"p":"${padding}"}`).join(','));
}

describe('the exporter', () => {
  test('gathers batches into one OTLP request', async (t) => {
    const fake = await receiver(t);
    const one = exporter(t, fake.url);
    for (let n = 0; n < 3; n++) one.take(batch(2 * n, 2), 2);
    await eventually(() => one.totals.exported === 6);
    assert.equal(fake.got.length, 1);
    assert.deepEqual(fake.spans, [0, 1, 2, 3, 4, 5]);
    const [{ method, url, headers, resource } = {} as Got] = fake.got;
    assert.deepEqual([method, url, headers['content-type']], ['POST', '/v1/traces', 'application/json']);
    assert.equal(headers['user-agent'], 'heddle/1.2.3');
    assert.equal(headers['content-encoding'], undefined);
    assert.deepEqual(resource, {
      attributes: [
        { key: 'service.name', value: { stringValue: 'heddle' } },
        { key: 'service.version', value: { stringValue: '1.2.3' } },
      ],
    });
    assert.deepEqual(one.totals, { exported: 6, dropped: 0, failed: 0, queuedBytes: 0, lastError: '' });
  });

  test('sends larger requests as gzip', async (t) => {
    const fake = await receiver(t);
    const one = exporter(t, fake.url);
    one.take(batch(0, 10, 'x'.repeat(200)), 10);
    await eventually(() => one.totals.exported === 10);
    assert.equal(fake.got[0]?.headers['content-encoding'], 'gzip');
    assert.equal(fake.spans.length, 10);
  });

  test('does not wait when there is enough, keeps its connection, and has one request under way', async (t) => {
    const fake = await receiver(t, (response) => setTimeout(() => accept(response), 20));
    const one = exporter(t, fake.url, { limits: { ...LIMITS, gatherMs: 60_000 } });
    for (let n = 0; n < 2048; n += 256) one.take(batch(n, 256), 256);
    await eventually(() => one.totals.exported === 2048);
    assert.deepEqual(
      fake.spans,
      Array.from({ length: 2048 }, (_, n) => n),
    );
    assert.ok(fake.got.every(({ spans }) => spans.length <= 512));
    assert.deepEqual([fake.underWayMost, fake.connections], [1, 1]);
  });

  for (const status of [429, 502, 503, 504]) {
    test(`tries again after a ${status}`, async (t) => {
      const fake = await receiver(t, (response, index) =>
        index < 2 ? response.writeHead(status).end('busy') : accept(response),
      );
      const notes = new Notes();
      const one = exporter(t, fake.url, { notes });
      one.take(batch(7), 1);
      await eventually(() => one.totals.exported === 1);
      assert.deepEqual(fake.spans, [7, 7, 7]);
      assert.equal(one.totals.failed, 0);
      assert.equal(notes.warnings.length, 1);
      assert.match(notes.warnings[0] ?? '', new RegExp(`answered ${status} to POST /v1/traces: "busy"`));
      assert.deepEqual(notes.news, ['Traces are exported again']);
    });
  }

  test('waits as long as Retry-After says', async (t) => {
    const fake = await receiver(t, (response, index) =>
      index === 0 ? response.writeHead(503, { 'retry-after': '1' }).end() : accept(response),
    );
    const one = exporter(t, fake.url);
    one.take(batch(0), 1);
    await eventually(() => one.totals.exported === 1);
    const waitedMs = fake.got[1]!.atMs - fake.got[0]!.atMs;
    assert.ok(waitedMs >= 950, `${waitedMs} ms`);
  });

  test('tries again when the connection breaks', async (t) => {
    const fake = await receiver(t, (response, index) => (index === 0 ? response.destroy() : accept(response)));
    const one = exporter(t, fake.url);
    one.take(batch(0), 1);
    await eventually(() => one.totals.exported === 1);
    assert.match(one.totals.lastError, /gave no HTTP answer \(ECONNRESET\)/);
  });

  test('does not try again what is refused for good', async (t) => {
    const fake = await receiver(t, (response, index) =>
      index === 0 ? response.writeHead(400).end('{"message":"bad\\u001b[2J"}') : accept(response),
    );
    const one = exporter(t, fake.url);
    one.take(batch(0), 1);
    await eventually(() => one.totals.failed === 1);
    one.take(batch(1), 1);
    await eventually(() => one.totals.exported === 1);
    assert.deepEqual(fake.spans, [0, 1]);
    assert.match(one.totals.lastError, /answered 400 to POST/);
  });

  test('does not follow a redirect', async (t) => {
    const other = await receiver(t);
    const fake = await receiver(t, (response) => response.writeHead(307, { location: `${other.url.href}x` }).end());
    const one = exporter(t, fake.url);
    one.take(batch(0), 1);
    await eventually(() => one.totals.failed === 1);
    assert.equal(other.got.length, 0);
    assert.match(one.totals.lastError, /answered 307 .*which is not followed/);
  });

  test('counts what a partial success rejected, and does not send it again', async (t) => {
    const fake = await receiver(t, (response) =>
      response.writeHead(200).end('{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}'),
    );
    const notes = new Notes();
    const one = exporter(t, fake.url, { notes });
    one.take(batch(0, 5), 5);
    await eventually(() => one.totals.exported === 3);
    await sleep(200);
    assert.equal(fake.got.length, 1);
    assert.equal(one.totals.failed, 2);
    assert.match(notes.warnings[0] ?? '', /rejected 2 of 5 spans: "too old"/);
  });

  for (const [what, body] of Object.entries({
    'no JSON': '<html>',
    'null': 'null',
    'a hostile count': '{"partialSuccess":{"rejectedSpans":-1e300,"errorMessage":{}}}',
  })) {
    test(`takes a 200 with ${what} as a success`, async (t) => {
      const fake = await receiver(t, (response) => response.writeHead(200).end(body));
      const one = exporter(t, fake.url);
      one.take(batch(0, 2), 2);
      await eventually(() => one.totals.exported === 2);
      assert.equal(one.totals.failed, 0);
    });
  }

  test('reads no more than the start of an answer without end', async (t) => {
    let sent = 0;
    const piece = Buffer.alloc(64 * 1024, 'x');
    const fake = await receiver(t, (response) => {
      response.writeHead(400);
      const more = (): void => {
        while (!response.destroyed && sent < 256 * 1024 * 1024 && response.write(piece)) sent += piece.length;
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    });
    const one = exporter(t, fake.url);
    one.take(batch(0), 1);
    await eventually(() => one.totals.failed === 1);
    assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes`);
    assert.ok(one.totals.lastError.length < 400);
  });

  test('gives up waiting for a receiver that does not answer, and tries again', async (t) => {
    const fake = await receiver(t, (response, index) => (index === 0 ? undefined : accept(response)));
    const one = exporter(t, fake.url, { limits: { ...LIMITS, requestMs: 300 } });
    one.take(batch(0), 1);
    await eventually(() => one.totals.exported === 1);
    assert.match(one.totals.lastError, /no answer came within 300 ms/);
  });

  test('gives up a request that is refused again and again, and goes on with the next', async (t) => {
    const fake = await receiver(t, (response, index, { got }) =>
      got[index]!.spans[0]!.n === 0 ? response.writeHead(503).end() : accept(response),
    );
    const one = exporter(t, fake.url, { limits: { ...LIMITS, giveUpMs: 300, spansPerRequest: 1 } });
    one.take(batch(0), 1);
    one.take(batch(1), 1);
    await eventually(() => one.totals.exported === 1);
    assert.equal(one.totals.failed, 1);
    assert.equal(one.totals.queuedBytes, 0);
  });

  test('keeps a bounded amount for a receiver that is away, and counts what it drops', async (t) => {
    const fake = await receiver(t, () => {});
    const one = exporter(t, fake.url, { limits: { ...LIMITS, requestMs: 60_000, spansPerRequest: 1 } });
    one.take(batch(0), 1);
    await eventually(() => fake.got.length === 1);
    const bytes = Buffer.alloc(64 * 1024, ' ');
    for (let count = 0; count < 1000; count++) one.take(bytes, 10);
    assert.ok(one.totals.queuedBytes <= 8 * 1024 * 1024);
    assert.equal(one.totals.dropped, (1000 - 127) * 10); // what is under way counts too
    for (let count = 0; count < 10_000; count++) one.take(Buffer.alloc(0), 1);
    assert.equal(one.totals.dropped, (1000 - 127) * 10 + 10_000 - (4096 - 127));
    assert.match(one.totals.lastError, /takes spans more slowly than they come/);
  });
});

describe('closing', () => {
  test('sends what waits', async (t) => {
    const fake = await receiver(t);
    const one = exporter(t, fake.url, { limits: { ...LIMITS, gatherMs: 60_000 } });
    for (let n = 0; n < 700; n += 7) one.take(batch(n, 7), 7);
    await one.close(10_000);
    assert.equal(one.totals.exported, 700);
    assert.equal(fake.spans.length, 700);
  });

  test('does not wait out a pause between two tries', async (t) => {
    const fake = await receiver(t, (response, index) =>
      index === 0 ? response.writeHead(503, { 'retry-after': '60' }).end() : accept(response),
    );
    const one = exporter(t, fake.url, { limits: { ...LIMITS, giveUpMs: 600_000 } });
    one.take(batch(0), 1);
    await eventually(() => one.totals.lastError !== '');
    await one.close(10_000);
    assert.equal(one.totals.exported, 1);
  });

  test('ends at its deadline when the receiver does not answer, and what is left counts', async (t) => {
    const fake = await receiver(t, () => {});
    const one = exporter(t, fake.url, { limits: { ...LIMITS, spansPerRequest: 1 } });
    for (let n = 0; n < 3; n++) one.take(batch(n), 1);
    await eventually(() => fake.got.length === 1);
    const startMs = performance.now();
    await one.close(200);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs < 5000, `${tookMs} ms`);
    const { failed, dropped, queuedBytes } = one.totals;
    assert.deepEqual([failed, dropped, queuedBytes], [1, 2, 0]);
  });

  test('ends at its deadline when the receiver refuses', async (t) => {
    const fake = await receiver(t, (response) => response.writeHead(503).end());
    const one = exporter(t, fake.url);
    one.take(batch(0), 1);
    await one.close(200);
    assert.equal(one.totals.failed, 1);
  });

  test('takes nothing afterwards', async (t) => {
    const fake = await receiver(t);
    const one = exporter(t, fake.url);
    await one.close(1000);
    one.take(batch(0, 3), 3);
    assert.equal(one.totals.dropped, 3);
  });
});

describe('a test span', () => {
  const cases: readonly (readonly [string, (response: ServerResponse) => unknown, boolean, string, RegExp])[] = [
    ['that is accepted', accept, true, 'accepted', /\/v1\/traces accepted the span$/],
    [
      'that is accepted with a remark',
      (response) => response.writeHead(200).end('{"partialSuccess":{"errorMessage":"use TLS"}}'),
      true,
      'accepted',
      /accepted the span, and remarked "use TLS"$/,
    ],
    [
      'that is thrown away',
      (response) => response.writeHead(200).end('{"partialSuccess":{"rejectedSpans":1,"errorMessage":"quota"}}'),
      false,
      'rejected',
      /threw the span away because "quota"$/,
    ],
    [
      'that is refused',
      (response) => response.writeHead(404).end('no such page\n'),
      false,
      'refused',
      /answered 404 to POST \/v1\/traces: "no such page\\n"$/,
    ],
    ['that gets no answer', (response) => response.destroy(), false, 'answer', /gave no HTTP answer \(ECONNRESET\)$/],
    ['that waits in vain', () => {}, false, 'timeout', /no answer came within 300 ms$/],
  ];
  for (const [what, answer, ok, stage, text] of cases) {
    test(what, async (t) => {
      const fake = await receiver(t, answer);
      const requestMs = stage === 'timeout' ? 300 : LIMITS.requestMs;
      const probe = await exporter(t, fake.url, { limits: { ...LIMITS, requestMs } }).probe(TRACE);
      assert.deepEqual([probe.ok, probe.stage], [ok, stage]);
      assert.match(probe.text, text);
      assert.equal(fake.got[0]?.spans[0]?.traceId, TRACE);
    });
  }

  test('whose receiver is not there', async (t) => {
    const server = createTcpServer();
    const port = await listening(t, server);
    server.close();
    await once(server, 'close');
    const probe = await exporter(t, new URL(`http://127.0.0.1:${port}`)).probe(TRACE);
    assert.deepEqual(probe, { ok: false, stage: 'connect', text: `No connection to 127.0.0.1:${port} (ECONNREFUSED)` });
  });

  test('whose receiver has a name that does not exist', async (t) => {
    const probe = await exporter(t, new URL('http://receiver.invalid:4318')).probe(TRACE);
    assert.deepEqual([probe.ok, probe.stage], [false, 'name']);
    assert.match(probe.text, /^The name receiver\.invalid was not resolved \((ENOTFOUND|EAI_AGAIN)\)$/);
  });

  test('whose receiver does not speak HTTP', async (t) => {
    const port = await listening(
      t,
      createTcpServer((socket) => socket.on('error', () => {}).end(Buffer.from('000006040000000000', 'hex'))),
    );
    const probe = await exporter(t, new URL(`http://127.0.0.1:${port}`)).probe(TRACE);
    assert.deepEqual([probe.ok, probe.stage], [false, 'answer']);
    assert.match(probe.text, /gave no HTTP answer \(HPE_/);
  });

  test('whose receiver does not speak TLS', async (t) => {
    const port = await listening(
      t,
      createTcpServer((socket) => socket.on('error', () => {}).end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    );
    const probe = await exporter(t, new URL(`https://127.0.0.1:${port}`)).probe(TRACE);
    assert.deepEqual([probe.ok, probe.stage], [false, 'tls']);
    assert.match(probe.text, /^Connected to 127\.0\.0\.1:\d+, but TLS failed \(/);
  });
});

describe('where traces go', () => {
  const cases: Readonly<Record<string, string>> = {
    'http://collector:4318': 'http://collector:4318/v1/traces',
    'http://collector:4318/': 'http://collector:4318/v1/traces',
    'https://collector/otlp/traces': 'https://collector/otlp/traces',
    'https://collector/v1/traces?key=1': 'https://collector/v1/traces?key=1',
    'http://user:word@collector': 'http://user:word@collector/v1/traces',
  };
  for (const [endpoint, url] of Object.entries(cases)) {
    test(endpoint, () => assert.equal(tracesUrl(new URL(endpoint)).href, url));
  }

  test('no password of the endpoint gets into a message', async (t) => {
    const fake = await receiver(t, (response) => response.writeHead(503).end());
    const notes = new Notes();
    const endpoint = new URL(fake.url);
    endpoint.username = 'user';
    endpoint.password = 'hunter2';
    const one = exporter(t, endpoint, { notes });
    one.take(batch(0), 1);
    await eventually(() => notes.warnings.length > 0);
    assert.ok(fake.got[0]?.headers.authorization?.startsWith('Basic '));
    assert.ok(!`${notes.warnings.join('')}${one.totals.lastError}`.includes('hunter2'));
  });
});
