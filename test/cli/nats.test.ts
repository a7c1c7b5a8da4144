/** `heddle nats` against a stand-in for the bridge: what it asks, what it tells, and how it ends. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { FakeAdmin } from './fake-admin.ts';
import { ended, heddle, startHeddle } from './heddle.ts';

interface Asked {
  readonly line: string;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** Answers each request by the next of these, the last again and again. */
async function bridgeOf(
  context: TestContext,
  ...answers: readonly ((response: http.ServerResponse) => void)[]
): Promise<{ url: string; asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = http.createServer((request, response) => {
    void request.toArray().then((chunks) => {
      asked.push({ line: `${request.method} ${request.url}`, headers: request.headers, body: chunks.join('') });
      answers[Math.min(asked.length, answers.length) - 1]!(response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close().closeAllConnections());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

function refusal(status: number, members: object) {
  return (response: http.ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify(members));
  };
}

/** Events; the stream stays open unless it is ended. */
function events(text: string, isEnd = false) {
  return (response: http.ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write(text);
    if (isEnd) response.end();
  };
}

function event(data: object, { id = '', type = 'message' } = {}): string {
  return `${id === '' ? '' : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

const NOT_ALLOWED = {
  title: 'No NatsPolicy allows that',
  detail: 'Expected a policy for a.b, got none',
  code: 'not-allowed',
  outcome: 'not-sent',
  retryable: false,
};

describe('nats pub', () => {
  test('sends what it is given and says that the server has it', async (context) => {
    const { url, asked } = await bridgeOf(context, (response) => response.writeHead(202).end());
    const given = ['--header', 'Trace: yes', '-H', 'trace: no', '--id', '17', '--ttl', '1h', '--delay', '90s'];
    const { code, out, err } = await heddle(['nats', 'pub', 'demo.ä b', 'tea', ...given, '--bridge', url]);
    assert.deepEqual([code, out, err], [0, 'Sent: the NATS server has it\n', '']);
    const { line, headers, body } = asked[0]!;
    assert.deepEqual([line, body], ['POST /v1/publish/demo.%C3%A4%20b?delay=90s', 'tea']);
    assert.deepEqual([headers['trace'], headers['idempotency-key'], headers['nats-ttl']], ['yes, no', '17', '1h']);
  });

  test('takes standard input for -', async (context) => {
    const { url, asked } = await bridgeOf(context, (response) => response.writeHead(202).end());
    await heddle(['nats', 'pub', 'a', '-', '--ack', 'none'], { HEDDLE_BRIDGE: url }, 'line\nline\n');
    assert.deepEqual([asked[0]!.line, asked[0]!.body], ['POST /v1/publish/a?ack=none', 'line\nline\n']);
  });

  test('says where a stream keeps it, and whether it did before', async (context) => {
    const fields = { 'nats-stream': 'ORDERS', 'nats-sequence': '17' };
    const { url } = await bridgeOf(
      context,
      (response) => response.writeHead(201, fields).end(),
      (response) => response.writeHead(200, { ...fields, 'nats-duplicate': 'true' }).end(),
    );
    const args = ['nats', 'pub', 'a', '--bridge', url];
    assert.equal((await heddle(args)).out, 'Stored: ORDERS:17\n');
    const { out } = await heddle([...args, '-o', 'json']);
    assert.deepEqual(JSON.parse(out), { outcome: 'stored', stream: 'ORDERS', sequence: 17, duplicate: true });
  });

  test('tells title, code, detail and outcome of a refusal, exit 1', async (context) => {
    const { url } = await bridgeOf(context, refusal(403, NOT_ALLOWED));
    const { code, out, err } = await heddle(['nats', 'pub', 'a.b', '--bridge', url]);
    assert.deepEqual([code, out], [1, '']);
    const said = 'No NatsPolicy allows that (not-allowed)\nExpected a policy for a.b, got none\nNothing was sent\n';
    assert.equal(err, `heddle: ${said}`);
  });

  test('ends with 5 where nobody knows whether it arrived', async (context) => {
    const lost = { ...NOT_ALLOWED, title: 'Too late', code: 'timeout', outcome: 'unknown', retryable: true };
    const { url } = await bridgeOf(context, refusal(504, lost), (response) => void response.destroy());
    for (const text of [/Too late \(timeout\)/, /has not answered \(ECONNRESET\)/]) {
      const { code, err } = await heddle(['nats', 'pub', 'a.b', '--bridge', url]);
      assert.equal(code, 5);
      assert.match(err, text);
      assert.match(err, /It may have arrived or not/);
    }
  });

  test('says what to do where nothing answers, exit 3', async () => {
    const { code, err } = await heddle(['nats', 'pub', 'a.b', '--bridge', 'http://127.0.0.1:9']);
    assert.equal(code, 3);
    assert.match(err, /Nothing answers at http:\/\/127\.0\.0\.1:9 \(ECONNREFUSED\).*\n.*HEDDLE_BRIDGE/);
  });

  for (const [what, args, env] of [
    ['a header without a colon', ['--header', 'Trace'], {}],
    ['a header with a line break', ['--header', 'Trace: a\r\nHost: b'], {}],
    ['an address that is none', ['--bridge', 'nats://127.0.0.1:4222'], {}],
    ['a variable that is none', [], { HEDDLE_BRIDGE: 'here' }],
  ] as const) {
    test(`refuses ${what}, exit 2`, async () => {
      const { code, err } = await heddle(['nats', 'pub', 'a.b', ...args], env);
      assert.equal(code, 2);
      assert.match(err, /Expected /);
    });
  }
});

describe('nats req', () => {
  test('prints the reply as it is', async (context) => {
    const { url, asked } = await bridgeOf(context, (response) => response.end('2.50\u001b[m'));
    const { code, out, err } = await heddle(['nats', 'req', 'prices.tea', '--timeout', '300ms', '--bridge', url]);
    assert.deepEqual([code, out, err], [0, '2.50\u001b[m', '']);
    assert.equal(asked[0]!.line, 'POST /v1/request/prices.tea');
    assert.equal(asked[0]!.headers['prefer'], 'wait=0.3');
  });

  test('ends with 1 where a service answers with an error', async (context) => {
    const fields = { 'nats-service-error-code': '404', 'nats-service-error': 'No such tea' };
    const { url } = await bridgeOf(context, (response) => response.writeHead(200, fields).end());
    const { code, err } = await heddle(['nats', 'req', 'prices.tea', '--bridge', url]);
    assert.deepEqual([code, err], [1, 'heddle: The service answers with error 404: No such tea\n']);
  });

  test('--many prints a line for each reply, harmless', async (context) => {
    const { url, asked } = await bridgeOf(context, (response) => {
      response.write('{"data":"one"}\n{"data":"t');
      response.end('wo\\u001b[2J"}\n');
    });
    const { code, out } = await heddle(['nats', 'req', 'ping', '--many', '--count', '2', '--bridge', url]);
    assert.deepEqual([code, out], [0, 'one\ntwo\\u001b[2J\n']);
    assert.equal(asked[0]!.line, 'POST /v1/request/ping?max=2');
    assert.equal(asked[0]!.headers.accept, 'application/x-ndjson');
  });

  test('--many ends with 1 where nobody replies', async (context) => {
    const { url } = await bridgeOf(context, (response) => response.end());
    const { code, err } = await heddle(['nats', 'req', 'ping', '--many', '--bridge', url]);
    assert.deepEqual([code, err], [1, 'heddle: Nobody has replied in time\n']);
  });
});

describe('nats sub', () => {
  const tea = { subject: 'demo.tea', data: '{"a":1}' };

  test('prints messages as they come and ends after --count', async (context) => {
    const text = `:\n\n${event(tea)}${event({ subject: 'demo.bytes', data_base64: 'AP8=' })}${event(tea)}`;
    const { url, asked } = await bridgeOf(context, events(text));
    const { code, out, err } = await heddle(['nats', 'sub', 'demo.>', 'b.*', '--count', '2', '--bridge', url]);
    assert.deepEqual([code, out, err], [0, 'demo.tea {"a":1}\ndemo.bytes base64:AP8=\n', '']);
    assert.equal(asked[0]!.line, 'GET /v1/subscribe?subject=demo.%3E&subject=b.*');
  });

  test('-o json is an object in a line, and what publishers say does nothing to a terminal', async (context) => {
    const evil = { subject: 'demo.\u001b[2J', data: '\u009b2K\n' };
    const { url } = await bridgeOf(context, events(event(evil)));
    for (const format of ['json', 'table']) {
      const { out } = await heddle(['nats', 'sub', 'demo.>', '--count', '1', '-o', format, '--bridge', url]);
      assert.doesNotMatch(out, /[^\P{C}\n]/u);
      assert.equal(out.split('\n').length, 2);
      if (format === 'json') assert.deepEqual(JSON.parse(out), evil);
    }
  });

  test('of a stream goes on behind the last event where the connection breaks', async (context) => {
    const { url, asked } = await bridgeOf(
      context,
      events(`retry: 1\n\n${event({ ...tea, seq: 7 }, { id: 'e:7' })}`, true),
      events(`${event({ from: 8, to: 9 }, { type: 'gap' })}${event({ ...tea, seq: 10 }, { id: 'e:10' })}`),
    );
    const args = ['nats', 'sub', '--stream', 'ORDERS', '--from', 'first', '--count', '2', '--bridge', url];
    const { code, out, err } = await heddle(args);
    assert.deepEqual([code, out], [0, '7 demo.tea {"a":1}\n10 demo.tea {"a":1}\n']);
    assert.equal(err, 'Messages are missing here: 8 to 9 are no longer in the stream\n');
    assert.deepEqual(
      asked.map(({ line, headers }) => [line, headers['last-event-id']]),
      [
        ['GET /v1/streams/ORDERS/events?from=first', undefined],
        ['GET /v1/streams/ORDERS/events?from=first', 'e:7'],
      ],
    );
  });

  test('tries again what may be whole later, and ends with 1 at what is refused', async (context) => {
    const away = { ...NOT_ALLOWED, title: 'No broker', code: 'no-broker', retryable: true };
    const { url, asked } = await bridgeOf(
      context,
      events('retry: 1\n\n:\n\n', true),
      refusal(503, away),
      refusal(403, NOT_ALLOWED),
    );
    const { code, err } = await heddle(['nats', 'sub', 'a.b', '--bridge', url]);
    assert.equal(code, 1);
    assert.match(err, /^No broker \(no-broker\): trying again\nheddle: No NatsPolicy allows that \(not-allowed\)\n/);
    assert.doesNotMatch(err, /sent/);
    assert.equal(asked.length, 3);
  });

  test('does not wait for what refuses at first, exit 1', async (context) => {
    const { url } = await bridgeOf(context, refusal(503, { ...NOT_ALLOWED, retryable: true }));
    assert.equal((await heddle(['nats', 'sub', 'a.b', '--bridge', url])).code, 1);
  });

  test('ends by Ctrl-C with exit 0', async (context) => {
    const { url } = await bridgeOf(context, events(event(tea)));
    const child = startHeddle(['nats', 'sub', 'a.b', '--bridge', url]);
    const end = ended(child);
    await once(child.stdout, 'data');
    child.kill('SIGINT');
    assert.equal((await end).code, 0);
  });

  for (const args of [[], ['a.b', '--from', 'first'], ['a.b', 'c.d', '--stream', 'ORDERS']]) {
    test(`refuses ${args.join(' ') || 'no pattern and no stream'}, exit 2`, async () => {
      const { code, err } = await heddle(['nats', 'sub', ...args]);
      assert.equal(code, 2);
      assert.match(err, /Expected .*--stream/);
    });
  }
});

describe('nats deliveries', () => {
  const delivery = {
    subscription: 'Service shop/mail',
    state: 'delivering',
    reason: '',
    mode: 'jetstream',
    stream: 'ORDERS',
    consumer: 'heddle-shop-mail-x',
    pending: 3,
    ackPending: 1,
    oldestMs: 61_500,
    inFlight: 1,
    delivered: 20,
    redelivered: 2,
    failed: 4,
    deadLettered: 1,
    returned: 5,
    lastError: 'Status 500',
    lastErrorTime: null,
    workers: [],
  };

  test('are a table, with the last error where there is no other reason', async (context) => {
    const held = { ...delivery, subscription: 'Subscription shop/b', state: 'held', stream: '', oldestMs: 0 };
    const deliveries = [delivery, { ...held, reason: 'No endpoint is ready' }];
    const admin = await FakeAdmin.start({ '/deliveries': { deliveries } });
    context.after(() => admin.stop());
    const { code, out, err } = await heddle(['nats', 'deliveries', '--admin', admin.url]);
    assert.deepEqual([code, err], [0, '']);
    assert.deepEqual(
      out.split('\n').map((line) => line.replaceAll(/ {2,}/g, '|')),
      [
        'SUBSCRIPTION|STATE|STREAM|PENDING|OLDEST|IN FLIGHT|DELIVERED|AGAIN|FAILED|DEAD|RETURNED|REASON',
        'Service shop/mail|delivering|ORDERS|3|1m2s|1|20|2|4|1|5|Status 500',
        'Subscription shop/b|held|-|3|-|1|20|2|4|1|5|No endpoint is ready',
        '',
      ],
    );
  });

  test('none is said on standard error', async (context) => {
    const admin = await FakeAdmin.start({ '/deliveries': { deliveries: [] } });
    context.after(() => admin.stop());
    const { code, out, err } = await heddle(['nats', 'deliveries', '--admin', admin.url]);
    assert.deepEqual([code, out, err], [0, '', 'No Service asks for messages (heddle.dev/nats-subscribe)\n']);
  });
});
