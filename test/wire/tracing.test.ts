import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { TraceProbeAnswer } from '../../src/model/admin.ts';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { assertPassed } from '../harness/failure.ts';
import { Mesh, type MeshOptions, type ServiceSpec } from '../harness/mesh.ts';
import { type Request, valueOf, valuesOf } from '../harness/message.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { ask, exposition, withMesh } from '../harness/telemetry.ts';
import { refusedAddress } from '../harness/upstream.ts';
import { attributesOf, OtlpReceiver, provideOtlpReceiver, type ReceivedSpan } from '../servers/otlp.ts';
import { orSkip } from '../servers/provide.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const ADMIN = '--admin-listen=127.0.0.1:0';
const SERVER = 2;
const CLIENT = 3;
const ERROR = 2;
const MIB = 1024 ** 2;

const provided = await provideOtlpReceiver();
let recorder: Recorder;
let stale: Recorder;
let down: string;

before(async () => {
  recorder = await Recorder.start((request, connection) => {
    if (request.target.startsWith('/hold')) return;
    if (request.target.startsWith('/breaks')) {
      connection.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc');
      setTimeout(() => connection.socket.resetAndDestroy(), 50);
      return;
    }
    if (request.target.startsWith('/nonsense')) {
      connection.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n');
      return;
    }
    const status = request.target.startsWith('/broken') ? '503 Busy' : '200 OK';
    connection.send(`HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nok`);
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

function options(flags: readonly string[], more: readonly ServiceSpec[] = []): MeshOptions {
  return {
    flags: [ADMIN, ...flags],
    services: [
      { name: 'orders', endpoints: [recorder.address] },
      { name: 'stale', endpoints: [stale.address] },
      { name: 'down', endpoints: [down] },
      ...more,
    ],
  };
}

const GET = (path: string, more = '', host = 'orders.test'): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}\r\n`;

/** What the endpoint got. */
async function arrived(mesh: Mesh, path: string, more: string): Promise<Request> {
  assertPassed(await exchange(mesh.port, GET(path, more)));
  return recorder.requests.find(({ target }) => target === path)!;
}

/** Waits for the spans of the exchange with this path: the server's, and the client's where there is one. */
async function spansOf(receiver: OtlpReceiver, path: string, count: 1 | 2): Promise<ReceivedSpan[]> {
  const giveUpMs = performance.now() + 8000;
  for (;;) {
    const spans = await receiver.spans();
    const server = spans.find((span) => attributesOf(span)['url.path'] === path);
    const both = spans.filter(({ traceId }) => traceId === server?.traceId);
    if (both.length >= count) {
      assert.equal(both.length, count, JSON.stringify(both));
      return both.toSorted((a, b) => a.kind - b.kind);
    }
    if (performance.now() > giveUpMs) throw new Error(`Expected ${count} spans for ${path}, got ${both.length}`);
    await sleep(50);
  }
}

describe('trace context', () => {
  let mesh: Mesh;
  before(async () => {
    // For what goes upstream nobody need be there.
    mesh = await Mesh.start(options([`--otlp-endpoint=http://${down}`, '--trace-sample=100%']));
  });
  after(async () => mesh.stop());

  test('of a sampled parent goes on, with a span of ours as the parent', async () => {
    const sent = `00-${TRACE}-${PARENT}-01`;
    const request = await arrived(
      mesh,
      '/context/valid',
      `traceparent: ${sent}\r\ntracestate: a=1,b=2\r\nTraceState: c=3\r\n`,
    );
    const [version, traceId, spanId, flags] = valueOf(request, 'traceparent')!.split('-');
    assert.deepEqual([version, traceId, flags], ['00', TRACE, '01']);
    assert.notEqual(spanId, PARENT);
    assert.deepEqual(valuesOf(request, 'tracestate'), ['a=1,b=2', 'c=3']);
  });

  for (const [what, sent] of [
    ['that is not sampled', `00-${TRACE}-${PARENT}-00`],
    ['that is not sampled, with a flag that we do not know', `00-${TRACE}-${PARENT}-f8`],
    ['of a later version', `01-${TRACE}-${PARENT}-00-more`],
  ] as const) {
    test(`${what} goes on untouched`, async () => {
      const path = `/context/untouched/${encodeURIComponent(what)}`;
      const request = await arrived(mesh, path, `traceparent: ${sent}\r\ntracestate: a=1\r\n`);
      assert.deepEqual([valueOf(request, 'traceparent'), valueOf(request, 'tracestate')], [sent, 'a=1']);
    });
  }

  for (const [what, lines] of [
    ['is absent', 'tracestate: a=1\r\n'],
    ['is no traceparent', 'traceparent: nonsense\r\ntracestate: a=1\r\n'],
    ['has upper case digits', `traceparent: 00-${TRACE.toUpperCase()}-${PARENT}-01\r\ntracestate: a=1\r\n`],
    ['has a trace id of zeros', `traceparent: 00-${'0'.repeat(32)}-${PARENT}-01\r\ntracestate: a=1\r\n`],
    ['has the forbidden version', `traceparent: ff-${TRACE}-${PARENT}-01\r\ntracestate: a=1\r\n`],
    ['is too long for its version', `traceparent: 00-${TRACE}-${PARENT}-01-x\r\ntracestate: a=1\r\n`],
    ['comes twice', `traceparent: 00-${TRACE}-${PARENT}-01\r\n`.repeat(2) + 'tracestate: a=1\r\n'],
    [
      'is nominated by Connection',
      `Connection: traceparent\r\ntraceparent: 00-${TRACE}-${PARENT}-01\r\ntracestate: a=1\r\n`,
    ],
  ] as const) {
    test(`that ${what} begins anew, without tracestate`, async () => {
      const request = await arrived(mesh, `/context/anew/${encodeURIComponent(what)}`, lines);
      const value = valueOf(request, 'traceparent')!;
      assert.match(value, /^00-[0-9a-f]{32}-[0-9a-f]{16}-03$/);
      assert.ok(!value.includes(TRACE));
      assert.equal(valueOf(request, 'tracestate'), undefined);
    });
  }

  test('goes on when Connection nominates something else', async () => {
    const lines = `Connection: x-hop\r\nX-Hop: 1\r\ntraceparent: 00-${TRACE}-${PARENT}-01\r\ntracestate: a=1\r\n`;
    const request = await arrived(mesh, '/context/hop', lines);
    assert.ok(valueOf(request, 'traceparent')!.startsWith(`00-${TRACE}-`));
    assert.deepEqual([valueOf(request, 'tracestate'), valueOf(request, 'x-hop')], ['a=1', undefined]);
  });

  test('goes on while the collector is away, and the probe says that it refuses connections', async () => {
    const { ok, steps } = await ask<TraceProbeAnswer>(mesh, '/trace-probe', 'POST');
    assert.deepEqual([ok, steps.at(-1)?.step], [false, 'collector: connect']);
    assert.match(steps.at(-1)!.text, /ECONNREFUSED/);
    const request = await arrived(mesh, '/context/away', `traceparent: 00-${TRACE}-${PARENT}-01\r\n`);
    assert.ok(valueOf(request, 'traceparent')!.startsWith(`00-${TRACE}-`));
  });

  test('is left alone without --otlp-endpoint, and the probe says so', async () => {
    await withMesh(options([]), async (plain) => {
      const lines = 'traceparent: nonsense\r\ntraceparent: more\r\ntracestate: a=1\r\n';
      const request = await arrived(plain, '/context/off', lines);
      assert.deepEqual(valuesOf(request, 'traceparent'), ['nonsense', 'more']);
      assert.equal(valueOf(request, 'tracestate'), 'a=1');
      assert.equal(valueOf(await arrived(plain, '/context/off-none', ''), 'traceparent'), undefined);
      const { ok, steps } = await ask<TraceProbeAnswer>(plain, '/trace-probe', 'POST');
      assert.deepEqual([ok, steps.map((step) => step.step)], [false, ['setting']]);
    });
  });
});

describe('spans at a real receiver', () => {
  let mesh: Mesh;
  let receiver: OtlpReceiver | undefined;
  before(async () => {
    if (!('folder' in provided)) return;
    receiver = await OtlpReceiver.start(provided.folder);
    mesh = await Mesh.start(options([`--otlp-endpoint=${receiver.endpoint.href}`, '--trace-sample=100%']));
  });
  after(async () => {
    if (receiver === undefined) return;
    if (mesh.alive) await mesh.stop();
    await receiver.stop();
  });

  function spanTest(name: string, work: (spans: OtlpReceiver) => Promise<void>): void {
    test(name, async (t) => {
      if (orSkip(t, 'OTLP receiver', provided) !== undefined) await work(receiver!);
    });
  }

  // Each waits for the export, once a second.
  describe('(all of them)', { concurrency: 12 }, () => {
    spanTest('are a server and a client one, parent and child, as upstream sees them', async (spans) => {
      const path = '/span/plain';
      const request = await arrived(mesh, path, `traceparent: 00-${TRACE}-${PARENT}-01\r\n`);
      const [server, client] = await spansOf(spans, path, 2);
      assert.deepEqual(
        [server!.traceId, server!.parentSpanId, server!.kind, server!.name],
        [TRACE, PARENT, SERVER, 'GET'],
      );
      assert.deepEqual([client!.traceId, client!.parentSpanId, client!.kind], [TRACE, server!.spanId, CLIENT]);
      assert.equal(valueOf(request, 'traceparent'), `00-${TRACE}-${client!.spanId}-01`);
      const { 'client.address': source, ...attributes } = attributesOf(server!);
      assert.equal(source, '127.0.0.1');
      assert.equal(attributes['heddle.service.name'], 'orders');
      assert.equal(attributes['http.response.status_code'], 200);
      assert.equal(attributes['http.response.body.size'], 2);
      assert.equal(attributesOf(client!)['url.full'], `http://${recorder.address}${path}`);
      assert.deepEqual([server!.status?.code ?? 0, client!.status?.code ?? 0], [0, 0]);
    });

    spanTest('of a trace of our own have no parent', async (spans) => {
      await arrived(mesh, '/span/own', '');
      const [server] = await spansOf(spans, '/span/own', 2);
      assert.equal(server!.parentSpanId ?? '', '');
    });

    spanTest('of a retried exchange tell of both attempts', async (spans) => {
      const connection = await Client.connect(mesh.port);
      for (const path of ['/span/first', '/span/retried']) {
        connection.send(GET(path, '', 'stale.test'));
        assertPassed(await connection.reply());
      }
      connection.destroy();
      const [server, client] = await spansOf(spans, '/span/retried', 2);
      assert.equal(attributesOf(client!)['http.request.resend_count'], 1);
      const { events } = client as unknown as { events: readonly ReceivedSpan[] };
      assert.deepEqual(
        events.map((event) => [attributesOf(event)['error.type'], attributesOf(event)['http.response.status_code']]),
        [
          ['upstream-reset', undefined],
          [undefined, 200],
        ],
      );
      assert.deepEqual([server!.status?.code ?? 0, client!.status?.code ?? 0], [0, 0]);
    });

    spanTest('of a failed exchange are errors with the code of the failure', async (spans) => {
      await exchange(mesh.port, GET('/span/down', '', 'down.test'));
      const [server, client] = await spansOf(spans, '/span/down', 2);
      assert.deepEqual([server!.status?.code, client!.status?.code], [ERROR, ERROR]);
      assert.equal(attributesOf(server!)['heddle.failure'], 'connect-failed');
      assert.equal(attributesOf(client!)['error.type'], 'connect-failed');
    });

    for (const [what, path, failure] of [
      ['breaks off', '/breaks/span', 'upstream-reset'],
      ['is taken back', '/nonsense/span', 'bad-reply'],
    ] as const) {
      spanTest(`of an exchange whose reply ${what} both have the failure`, async (spans) => {
        await exchange(mesh.port, GET(path));
        const [server, client] = await spansOf(spans, path, 2);
        assert.deepEqual([server!.status?.code, client!.status?.code], [ERROR, ERROR]);
        const types = [server!, client!].map((span) => attributesOf(span)['error.type']);
        assert.deepEqual(types, [failure, failure]);
      });
    }

    spanTest('of an endpoint that answers 503 are errors without a failure of the mesh', async (spans) => {
      await exchange(mesh.port, GET('/broken/span'));
      const [server] = await spansOf(spans, '/broken/span', 2);
      assert.equal(server!.status?.code, ERROR);
      assert.deepEqual(
        [attributesOf(server!)['heddle.failure'], attributesOf(server!)['error.type']],
        [undefined, '503'],
      );
    });

    spanTest('of a request without a route are a server one only', async (spans) => {
      await exchange(mesh.port, GET('/span/nowhere', '', 'nobody.test'));
      const [server] = await spansOf(spans, '/span/nowhere', 1);
      assert.deepEqual([server!.kind, attributesOf(server!)['heddle.failure']], [SERVER, 'no-route']);
    });

    spanTest('of an exchange whose client left say so', async (spans) => {
      const connection = await Client.connect(mesh.port);
      connection.send(GET('/hold/span'));
      await eventually(() => recorder.requests.some(({ target }) => target === '/hold/span'));
      connection.reset();
      const [server, client] = await spansOf(spans, '/hold/span', 2);
      assert.deepEqual([server!.status?.code, client!.status?.code], [ERROR, ERROR]);
      assert.equal(attributesOf(server!)['heddle.failure'], 'client-gone');
      assert.equal(attributesOf(server!)['http.response.status_code'], undefined);
    });

    spanTest('do not show the query, nor anything else that authenticates', async (spans) => {
      const secrets = 'Authorization: Bearer hunter2\r\nCookie: id=hunter2\r\n';
      assertPassed(await exchange(mesh.port, GET('/span/secret?token=hunter2', secrets)));
      await spansOf(spans, '/span/secret', 2);
      assert.doesNotMatch(JSON.stringify(await spans.requests()), /hunter2/);
    });

    spanTest('are none where the parent is not sampled', async (spans) => {
      await arrived(mesh, '/span/unsampled', `traceparent: 00-${TRACE}-${PARENT}-00\r\n`);
      await arrived(mesh, '/span/after', '');
      await spansOf(spans, '/span/after', 2);
      const paths = (await spans.spans()).map((span) => attributesOf(span)['url.path']);
      assert.ok(!paths.includes('/span/unsampled'));
    });

    spanTest('arrive when somebody asks for a probe, which says each step', async (spans) => {
      const { ok, traceId, steps } = await ask<TraceProbeAnswer>(mesh, '/trace-probe', 'POST');
      assert.ok(ok, JSON.stringify(steps));
      assert.deepEqual(
        steps.map(({ step }) => step),
        ['setting', 'worker', 'main thread', 'collector: accepted'],
      );
      assert.ok((await spans.spans()).some((span) => span.traceId === traceId));
    });
  });

  spanTest('of exchanges that end just before SIGTERM are not lost', async (spans) => {
    const paths = Array.from({ length: 300 }, (_, index) => `/last/${index}`);
    await Promise.all(
      [0, 1, 2].map(async (lane) => {
        const connection = await Client.connect(mesh.port);
        for (const path of paths.filter((_, index) => index % 3 === lane)) {
          connection.send(GET(path));
          assertPassed(await connection.reply());
        }
        connection.destroy();
      }),
    );
    await mesh.stop();
    const all = await spans.spans();
    const served = new Set(all.map((span) => attributesOf(span)['url.path']));
    assert.deepEqual(
      paths.filter((path) => !served.has(path)),
      [],
    );
  });
});

describe('a collector', () => {
  test('that is slow costs bounded memory, then spans, which are counted', async () => {
    let answers = true;
    const server = http.createServer((request, response) => {
      request.resume();
      // It is an endpoint, too: one that remembers nothing.
      if (request.method === 'GET') response.end('ok');
      // Later on it takes spans and says nothing.
      else if (answers) response.writeHead(400).end('not like this');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const plain = { name: 'plain', endpoints: [`127.0.0.1:${port}`] };
    const flags = [`--otlp-endpoint=http://127.0.0.1:${port}`, '--trace-sample=100%'];
    await withMesh(options(flags, [plain]), async (mesh) => {
      const probe = await ask<TraceProbeAnswer>(mesh, '/trace-probe', 'POST');
      assert.deepEqual([probe.ok, probe.steps.at(-1)?.step], [false, 'collector: refused']);
      assert.match(probe.steps.at(-1)!.text, /400.*not like this/);
      answers = false;
      const path = `/${'p'.repeat(1000)}`;
      await flood(mesh, path, 400);
      const beganWith = mesh.memory;
      await flood(mesh, path, 3200);
      const grown = mesh.memory - beganWith;
      const dropped = async (): Promise<number> => {
        const metrics = await exposition(mesh);
        return metrics.find(({ name, labels }) => name === 'heddle_spans_total' && labels['outcome'] === 'dropped')!
          .value;
      };
      for (let look = 0; look < 40 && (await dropped()) === 0; look++) await sleep(50);
      assert.ok((await dropped()) > 0, 'Expected dropped spans to be counted');
      assert.ok(grown < 64 * MIB, `Expected memory to stay, got ${(grown / MIB).toFixed(1)} MiB more`);
    });
    server.close().closeAllConnections();
  });
});

/** So many requests, one after the other on each of a few connections; each must be answered. */
async function flood(mesh: Mesh, path: string, count: number): Promise<void> {
  const lanes = 8;
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      const connection = await Client.connect(mesh.port);
      for (let turn = 0; turn < count / lanes; turn++) {
        connection.send(GET(path, '', 'plain.test'));
        assertPassed(await connection.reply());
      }
      connection.destroy();
    }),
  );
}
