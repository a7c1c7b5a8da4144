import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { MessageProblem } from '../../src/bridge/problem.ts';
import { SubjectCarriers } from '../../src/bridge/subject-carrier.ts';
import type { Backend, BackendId, SubjectTarget } from '../../src/model/snapshot.ts';
import { type CarrierOwner, Edits, feedHead, HeadPool, startRequest } from '../../src/proxy/http.ts';
import { DEFAULT_BACKEND_POLICY } from '../../src/model/resilience.ts';
import { BridgeListener } from '../harness/bridge.ts';
import { Client, eventually, exchange } from '../harness/client.ts';
import { settingsOf } from '../harness/settings.ts';
import { FakeLink, messageOf, type Sent } from './api/fake-link.ts';
import { accessOf } from './api/scene.ts';

interface Scene {
  readonly bridge: BridgeListener;
  readonly carriers: SubjectCarriers;
  readonly link: FakeLink;
}

const TARGET: SubjectTarget = { template: 'orders.{path[1]}', does: 'request', ack: 'server' };

function backendOf(subject: SubjectTarget): Backend {
  const id = 'shop/orders:80' as BackendId;
  return {
    id,
    namespace: 'shop',
    name: 'orders',
    port: 80,
    policy: DEFAULT_BACKEND_POLICY,
    endpoints: [],
    subject,
    session: undefined,
  };
}

/** All requests to the listener go to one subject. */
async function sceneOf(
  t: TestContext,
  target: Partial<SubjectTarget> = {},
  flags: Readonly<Record<string, string>> = {},
): Promise<Scene> {
  const link = new FakeLink();
  const access = accessOf();
  const carriers = new SubjectCarriers({ link, access });
  const backend = backendOf({ ...TARGET, ...target });
  const bridge = await BridgeListener.start({
    link,
    access,
    flags,
    carriers: {
      api: () => carriers.carrier(backend, backend.subject!, settingsOf(flags).timeouts.requestMs),
      subject: () => {
        throw new Error('Expected requests by the listener of the bridge only, got one for a Service');
      },
    },
  });
  t.after(() => bridge.stop());
  return { bridge, carriers, link };
}

function headerOf(sent: Sent | undefined, name: string): string | undefined {
  return sent?.headers.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
}

function requestOf(path: string, { method = 'POST', headers = '', body = 'hello' } = {}): string {
  const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nHost: orders.shop\r\n${headers}${length}\r\n${body}`;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function ask({ bridge }: Scene, text: string): Promise<Answer> {
  const { status, fields, body } = await exchange(bridge.port, text, { waitMs: 20_000 });
  return { status, headers: Object.fromEntries(fields), body };
}

function problemOf({ headers, body }: Answer): Record<string, unknown> {
  assert.equal(headers['content-type'], 'application/problem+json');
  return JSON.parse(body) as Record<string, unknown>;
}

describe('a request', () => {
  test('becomes a message to the subject that its path makes, and the reply answers it', async (t) => {
    const scene = await sceneOf(t);
    const fields = { 'Content-Type': 'text/plain', 'X-Shop': 'berlin', 'Connection': 'close' };
    scene.link.onRequest = () => messageOf('there', Object.entries(fields));
    const answer = await ask(
      scene,
      requestOf('/orders/42?a=b', {
        headers: 'Content-Type: text/plain\r\nNats-Rollup: all\r\nX-Own: 1\r\nHttp-Path: /lie\r\n',
      }),
    );
    const [sent] = scene.link.sent;
    assert.deepEqual([sent?.how, sent?.subject, sent?.body], ['request', 'orders.42', 'hello']);
    assert.deepEqual(
      ['Content-Type', 'X-Own', 'Http-Method', 'Http-Path', 'Http-Query', 'heddle-source', 'Nats-Rollup'].map((name) =>
        headerOf(sent, name),
      ),
      ['text/plain', '1', 'POST', '/orders/42', 'a=b', 'shop/web', undefined],
    );
    assert.ok(Number(headerOf(sent, 'heddle-timeout-ms')) > 0);
    assert.deepEqual(
      [answer.status, answer.body, answer.headers['content-type'], answer.headers['x-shop']],
      [200, 'there', 'text/plain', 'berlin'],
    );
    await eventually(() => scene.bridge.records.length === 1);
    const [record] = scene.bridge.records;
    assert.deepEqual([record?.operation, record?.destination, record?.result], ['request', 'orders.{path[1]}', 'ok']);
  });

  test('has a path without what only led to the Service', async (t) => {
    const { link, carriers } = await sceneOf(t);
    const prefix = '/_svc/shop/orders';
    const bytes = Buffer.from(`GET ${prefix}/orders/42 HTTP/1.1\r\nHost: any\r\n\r\n`);
    const head = new HeadPool(10).take();
    startRequest(head);
    feedHead(head, bytes, 0, bytes.length, { head: 1000, headers: 10, url: 1000 });
    const edits = new Edits(0);
    edits.pathStart = head.pathStart + prefix.length;
    const owner = {
      source: { address: '127.0.0.1' },
      trace: undefined,
      describe: () => {},
      expectReplyWithin: () => {},
    } as unknown as CarrierOwner;
    const carrier = carriers.carrier(backendOf(TARGET), TARGET, 15_000);
    carrier.start(owner, head, edits, true);
    carrier.abort();
    assert.deepEqual([link.sent[0]?.subject, headerOf(link.sent[0], 'Http-Path')], ['orders.42', '/orders/42']);
  });

  test('has segments that are decoded once', async (t) => {
    const scene = await sceneOf(t);
    for (const [path, subject] of [
      ['/o/a%2Fb', 'orders.a/b'],
      ['/o/%2534', 'orders.%34'],
      ['/o/42/', 'orders.42'],
    ] as const) {
      assert.equal((await ask(scene, requestOf(path))).status, 200);
      assert.equal(scene.link.sent.at(-1)?.subject, subject);
    }
  });

  test('whose values are not one token each is refused, and nothing is sent', async (t) => {
    const scene = await sceneOf(t);
    for (const path of [
      '/orders',
      '/orders/',
      '/orders/a.b',
      '/o/a%2eb',
      '/o/%2A',
      '/o/%3E',
      '/o/a%20b',
      '/o/a%0d%0aPUB%20x',
      '/o/%00',
      '/o/%ff',
      '/o/%C3%BC',
      '/o/%zz',
      '/o/*',
      '/?/42',
    ]) {
      const answer = await ask(scene, requestOf(path));
      assert.equal(answer.status, 400, path);
      const problem = problemOf(answer);
      assert.deepEqual([problem['code'], problem['outcome']], ['invalid-subject', 'not-sent'], path);
    }
    assert.deepEqual(scene.link.sent, []);
  });

  test('fills a subject with headers and attributes of its event, in both modes', async (t) => {
    const scene = await sceneOf(t, { template: 'shops.{header.x-shop}.{ce.type}' });
    const required = 'ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /a\r\n';
    assert.equal(
      (await ask(scene, requestOf('/', { headers: `X-Shop: berlin\r\n${required}ce-type: created\r\n` }))).status,
      200,
    );
    const body = JSON.stringify({ specversion: '1.0', id: '1', source: '/a', type: 'gone' });
    const structured = requestOf('/', {
      headers: 'X-Shop: berlin\r\nContent-Type: application/cloudevents+json\r\n',
      body,
    });
    assert.equal((await ask(scene, structured)).status, 200);
    assert.deepEqual(
      scene.link.sent.map(({ subject }) => subject),
      ['shops.berlin.created', 'shops.berlin.gone'],
    );
    for (const headers of [
      `${required}ce-type: created\r\n`,
      'X-Shop: a\r\nX-Shop: b\r\n',
      `X-Shop: a\r\n${required}ce-type: a.b\r\n`,
      'X-Shop: a\r\nce-type: created\r\n',
    ])
      assert.equal((await ask(scene, requestOf('/', { headers }))).status, 400, headers);
    assert.equal(scene.link.sent.length, 2);
  });

  test('without a body, by any method, is one too', async (t) => {
    const scene = await sceneOf(t);
    assert.equal((await ask(scene, requestOf('/o/1', { method: 'GET', body: '' }))).body, 'pong');
    const head = await ask(scene, requestOf('/o/1', { method: 'HEAD', body: '' }));
    assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '4', '']);
    assert.equal(scene.link.sent[0]?.body, '');
  });
});

describe('the reply', () => {
  const answered = async (t: TestContext, data: string, fields: Readonly<Record<string, string>>): Promise<Answer> => {
    const scene = await sceneOf(t);
    scene.link.onRequest = () => messageOf(data, Object.entries(fields));
    return await ask(scene, requestOf('/o/1'));
  };

  test('has the status that it names, if that is one', async (t) => {
    assert.equal((await answered(t, 'no', { 'Http-Status': '404', 'Nats-Service-Error-Code': '404' })).status, 404);
    for (const status of ['100', '101', '600', '99', '-200', '2e2', 'ok', '0200']) {
      const answer = await answered(t, 'a', { 'Http-Status': status });
      assert.deepEqual([answer.status, problemOf(answer)['code']], [502, 'bad-reply'], status);
    }
  });

  test('of a status without content has none', async (t) => {
    for (const status of ['204', '205', '304']) {
      const answer = await answered(t, 'content', { 'Http-Status': status });
      assert.deepEqual([answer.status, answer.body], [Number(status), ''], status);
    }
  });

  test('that is an error of the service is a problem of 502, whatever its code', async (t) => {
    const answer = await answered(t, 'x', { 'Nats-Service-Error-Code': '200', 'Nats-Service-Error': 'out of stock' });
    assert.equal(answer.status, 502);
    const { code, service_error_code, service_error } = problemOf(answer);
    assert.deepEqual([code, service_error_code, service_error], ['bad-reply', '200', 'out of stock']);
  });

  test('of no type is bytes, and an empty one needs none', async (t) => {
    assert.equal((await answered(t, 'x', {})).headers['content-type'], 'application/octet-stream');
    assert.equal((await answered(t, '', {})).headers['content-type'], undefined);
  });

  test('cannot frame the answer or speak for the mesh', async (t) => {
    const answer = await answered(t, 'hello', {
      'Content-Length': '1',
      'Transfer-Encoding': 'chunked',
      'X-Heddle-Failure': 'x',
      'Upgrade': 'x',
    });
    assert.deepEqual([answer.status, answer.body, answer.headers['content-length']], [200, 'hello', '5']);
    for (const name of ['transfer-encoding', 'x-heddle-failure', 'upgrade'])
      assert.equal(answer.headers[name], undefined, name);
  });
});

describe('what goes wrong', () => {
  test('a stream of any name cannot add a header to the answer', async (t) => {
    const scene = await sceneOf(t, { does: 'publish', ack: 'stream' });
    scene.link.onStore = () => ({ stream: 'a\r\nset-cookie: b', sequence: 1, duplicate: false });
    const answer = await ask(scene, requestOf('/o/1'));
    assert.deepEqual([answer.status, answer.headers['set-cookie']], [201, undefined]);
  });

  test('is told as a problem, with what became of the message', async (t) => {
    const scene = await sceneOf(t);
    for (const [code, status, outcome] of [
      ['no-responders', 503, 'not-sent'],
      ['timeout', 504, 'unknown'],
      ['link-lost', 503, 'unknown'],
    ] as const) {
      scene.link.onRequest = () => new MessageProblem(code, 'Why');
      const answer = await ask(scene, requestOf('/o/1'));
      const problem = problemOf(answer);
      assert.deepEqual([answer.status, problem['code'], problem['outcome']], [status, code, outcome]);
    }
    await eventually(() => scene.bridge.records.length === 3);
    assert.deepEqual(
      scene.bridge.records.map((record) => record?.result),
      ['no-responders', 'timeout', 'link-lost'],
    );
  });

  test('before anything is sent costs nobody the body', async (t) => {
    const scene = await sceneOf(t);
    scene.link.refuses = new MessageProblem('no-broker', 'Down');
    const answer = await ask(scene, 'POST /o/1 HTTP/1.1\r\nHost: orders.shop\r\nContent-Length: 900\r\n\r\n');
    assert.deepEqual([answer.status, problemOf(answer)['outcome']], [503, 'not-sent']);
  });

  test('a body that no message can hold is refused at once, and one of unknown length when it is too long', async (t) => {
    const scene = await sceneOf(t);
    const announced = await ask(scene, 'POST /o/1 HTTP/1.1\r\nHost: orders.shop\r\nContent-Length: 1025\r\n\r\n');
    assert.deepEqual([announced.status, problemOf(announced)['code']], [413, 'too-large']);
    const chunk = `1f4\r\n${'x'.repeat(500)}\r\n`;
    const grown = await ask(
      scene,
      `POST /o/1 HTTP/1.1\r\nHost: orders.shop\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}${chunk}${chunk}`,
    );
    assert.equal(grown.status, 413);
    assert.deepEqual(scene.link.sent, []);
    await eventually(() => scene.bridge.records.length === 2);
    assert.deepEqual(
      scene.bridge.records.map((record) => record?.result),
      ['too-large', 'too-large'],
    );
  });

  test('waits as long as --timeout-request says, and a bit longer for the bridge to say so itself', async (t) => {
    const scene = await sceneOf(t, {}, { 'timeout-request': '100ms' });
    scene.link.onRequest = () => 'never';
    const answer = await ask(scene, requestOf('/o/1'));
    assert.equal(scene.link.sent[0]?.timeoutMs, 100);
    // This link says nothing ever: then the mesh does.
    assert.equal(answer.status, 504);
    assert.equal(scene.link.cancelled, 1);
  });

  test('a client that goes away ends the wait for its reply', async (t) => {
    const scene = await sceneOf(t);
    scene.link.onRequest = () => 'never';
    const client = await Client.connect(scene.bridge.port);
    client.send(requestOf('/o/1'));
    await eventually(() => scene.link.sent.length === 1);
    client.destroy();
    await eventually(() => scene.link.cancelled === 1);
    await eventually(() => scene.bridge.records.length === 1);
    const [record] = scene.bridge.records;
    assert.deepEqual([record?.operation, record?.result], ['request', 'client-gone']);
  });
});

describe('a publish', () => {
  test('is answered with 202 when the server has it', async (t) => {
    const scene = await sceneOf(t, { does: 'publish' });
    const answer = await ask(scene, requestOf('/o/1', { headers: 'Idempotency-Key: 7\r\n' }));
    assert.deepEqual([answer.status, answer.body], [202, '']);
    const [sent] = scene.link.sent;
    assert.deepEqual(
      [sent?.how, headerOf(sent, 'heddle-timeout-ms'), headerOf(sent, 'Nats-Msg-Id')],
      ['server', undefined, undefined],
    );
  });

  test('into a stream is answered with 201, stream and sequence; the same key again with 200', async (t) => {
    const scene = await sceneOf(t, { does: 'publish', ack: 'stream' });
    scene.link.onStore = () => ({ stream: 'ORDERS', sequence: 9, duplicate: scene.link.sent.length > 1 });
    const text = requestOf('/o/1', { headers: 'Idempotency-Key: 7\r\n' });
    const [first, again] = [await ask(scene, text), await ask(scene, text)];
    assert.deepEqual(
      [first.status, first.headers['nats-stream'], first.headers['nats-sequence'], first.headers['nats-duplicate']],
      [201, 'ORDERS', '9', undefined],
    );
    assert.deepEqual([again.status, again.headers['nats-duplicate']], [200, 'true']);
    assert.deepEqual([scene.link.sent[0]?.how, headerOf(scene.link.sent[0], 'Nats-Msg-Id')], ['stream', 'shop/web:7']);
    await eventually(() => scene.bridge.records.length === 2);
    assert.deepEqual([scene.bridge.records[0]?.stream, scene.bridge.records[0]?.sequence], ['ORDERS', 9]);
  });
});
