/** Copies of requests: what their mirrors get, and that nobody else notices. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseBreaker } from '../../src/control/compile/breaker-expression.ts';
import {
  type BackendPolicy,
  type BreakerPolicy,
  DEFAULT_OUTLIER,
  type RateLimitPolicy,
} from '../../src/model/resilience.ts';
import {
  type Fault,
  type FrontendPolicy,
  type Mirror,
  NO_DEEDS,
  NO_POLICY,
  type RequestEdits,
  type Routing,
  type Rule,
} from '../../src/model/routing.ts';
import type { BackendId } from '../../src/model/snapshot.ts';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { configurationOf, DataPath } from '../harness/data-path.ts';
import { type Request, valueOf } from '../harness/message.ts';
import { okReply, Recorder, type Respond, respondOk } from '../harness/recorder.ts';
import { staged } from '../harness/staged.ts';

const BODY_MAX = 64 * 1024;
const WAIT = { waitMs: 15_000 };
/** For how long a breaker is open, and its trial may take: longer than a few requests. */
const OPEN_MS = 2000;
/** Longer than what a copy takes that leaves at once. */
const QUIET_MS = 300;

interface Stage {
  readonly mesh: DataPath;
  readonly main: Recorder;
  readonly mirror: Recorder;
}

interface Scenery {
  readonly edits?: Partial<RequestEdits>;
  readonly faults?: readonly Fault[];
  /** How often the mirror stands in the rule. */
  readonly mirrors?: number;
  readonly respond?: Respond;
  /** Of what is mirrored. */
  readonly orders?: { readonly respond?: Respond; readonly policy?: Partial<BackendPolicy> };
  readonly rateLimit?: RateLimitPolicy;
  readonly flags?: Readonly<Record<string, string>>;
  /** Of the mirror, which has two endpoints where they can be ejected. */
  readonly policy?: Partial<BackendPolicy>;
}

/** `test/orders`, whose requests are mirrored to `test/shadow`. */
async function onStage(
  { edits, faults = [], mirrors = 1, respond = respondOk, orders = {}, rateLimit, flags = {}, policy = {} }: Scenery,
  play: (stage: Stage) => Promise<void>,
): Promise<void> {
  await staged(async (start) => {
    const main = await start(Recorder.start(orders.respond));
    const mirror = await start(Recorder.start(respond));
    const further = policy.outlier === undefined ? [] : [await start(Recorder.start(respond))];
    const services = configurationOf([
      { name: 'orders', policy: orders.policy ?? {}, tiers: [[main.address]] },
      { name: 'shadow', policy, tiers: [[mirror, ...further].map(({ address }) => address)] },
    ]);
    const routing = routingOf(
      Array.from({ length: mirrors }, () => mirrorOf(edits)),
      { ...NO_POLICY, faults, rateLimit },
    );
    const mesh = await start(DataPath.start({ ...services, routings: [routing] }, 1, flags));
    await play({ mesh, main, mirror });
  });
}

function mirrorOf(edits: Partial<RequestEdits> | undefined): Mirror {
  return {
    field: 'spec.rules[0].filters[0].requestMirror',
    name: 'Service test/shadow:80',
    backend: 'test/shadow:80' as BackendId,
    reason: '',
    share: 1,
    request: edits && { drop: [], lines: [], host: '', path: undefined, ...edits },
  };
}

function routingOf(mirrors: readonly Mirror[], policy: FrontendPolicy): Routing {
  const backend = 'test/orders:80' as BackendId;
  const rule: Rule = {
    source: { object: 'HTTPRoute test/orders', field: 'spec.rules[0]', name: '' },
    ...NO_DEEDS,
    mirrors,
    targets: [
      {
        field: 'spec.rules[0].backendRefs[0]',
        name: 'Service test/orders:80',
        backend,
        reason: '',
        weight: 1,
        request: undefined,
        response: undefined,
      },
    ],
  };
  return {
    id: backend,
    policy,
    consumers: {},
    all: {
      protocol: 'http',
      rules: [rule],
      entries: [
        {
          match: { path: { type: 'prefix', value: '' }, methods: [], fields: [] },
          rule: 0,
          field: 'spec.rules[0]',
        },
      ],
      unmatched: 'refuse',
    },
  };
}

function breakerOf(openMs: number): BreakerPolicy {
  const read = parseBreaker('ResponseCodeRatio(500, 600, 0, 600) > 0.5');
  assert.ok('value' in read);
  return { text: '', expression: read.value, openMs };
}

const HEAD = 'Host: orders.test\r\n';
const POST = `POST /cart HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Length: 2\r\n\r\nhi`;
const GET = `GET /cart?q=1 HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`;

function mirrored({ mesh }: Stage): Readonly<Record<string, number>> {
  return Object.fromEntries(mesh.totals('test/shadow:80').mirrored);
}

/** Waits until so many have this result, and none is under way. */
async function haveEnded(stage: Stage, result: string, count = 1): Promise<void> {
  const totals = (): ReturnType<DataPath['totals']> => stage.mesh.totals('test/shadow:80');
  const done = (): boolean => mirrored(stage)[result] === count && totals().mirrorsActive === 0;
  await eventually(done, { what: `${count} mirrored requests that are ${result}`, ...WAIT });
}

function withoutConnection({ fields }: Request): readonly (readonly [string, string])[] {
  return fields.filter(([name]) => name !== 'connection').toSorted(([a], [b]) => (a < b ? -1 : 1));
}

const fail: Respond = (_, connection) => connection.send('HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n');

describe('a copy', () => {
  test('is the request, line for line, with the same id', async () => {
    await onStage({}, async (stage) => {
      const { mesh, main, mirror } = stage;
      await exchange(mesh.port, GET);
      const [request, copy] = [await main.request(1), await mirror.request(1)];
      assert.equal(copy.line, request.line);
      // Nobody waits for a copy: it is told no time.
      const told = withoutConnection(request).filter(([name]) => name !== 'x-heddle-timeout-ms');
      assert.deepEqual(withoutConnection(copy), told);
      assert.match(String(valueOf(copy, 'x-request-id')), /^\S{16,}$/);
      await haveEnded(stage, 'answered');
    });
  });

  test('has the whole body, of known and of unknown length', async () => {
    await onStage({}, async ({ mesh, mirror }) => {
      await exchange(mesh.port, `POST /a HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Length: 5\r\n\r\nhello`);
      const chunks = '3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n';
      await exchange(
        mesh.port,
        `POST /b HTTP/1.1\r\n${HEAD}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`,
      );
      await mirror.request(2);
      assert.deepEqual(
        mirror.requests.map(({ target, body, framing, faults }) => [target, body, framing, faults]),
        [
          ['/a', 'hello', 'length', []],
          ['/b', 'hello', 'chunked', []],
        ],
      );
    });
  });

  test('is whole after a delay that was asked for too', async () => {
    const delay = { type: 'delay', leastMs: 200, mostMs: 200, share: 1 } as const;
    await onStage({ faults: [delay] }, async ({ mesh, mirror }) => {
      const client = await Client.connect(mesh.port);
      client.send(`POST / HTTP/1.1\r\n${HEAD}Content-Length: 10\r\n\r\nhello`);
      await sleep(50);
      client.send('world');
      await client.reply();
      assert.equal((await mirror.request(1)).body, 'helloworld');
      client.destroy();
    });
  });

  test('has the edits of its mirror, and the request has none of them', async () => {
    const edits: Partial<RequestEdits> = {
      drop: ['x-secret', 'x-kind'],
      lines: [['x-kind', 'copy']],
      host: 'shadow.test',
      path: { replace: 'path', prefix: undefined, by: '/shadow' },
    };
    await onStage({ edits }, async ({ mesh, main, mirror }) => {
      await exchange(
        mesh.port,
        `GET /cart?q=1 HTTP/1.1\r\n${HEAD}X-Secret: 1\r\nX-Kind: own\r\nConnection: close\r\n\r\n`,
      );
      const [request, copy] = [await main.request(1), await mirror.request(1)];
      const shown = (one: Request): unknown => [
        one.target,
        ...['host', 'x-secret', 'x-kind'].map((name) => valueOf(one, name)),
      ];
      assert.deepEqual(shown(copy), ['/shadow?q=1', 'shadow.test', undefined, 'copy']);
      assert.deepEqual(shown(request), ['/cart?q=1', 'orders.test', '1', 'own']);
    });
  });

  test('goes to each mirror of the rule', async () => {
    await onStage({ mirrors: 3 }, async (stage) => {
      await exchange(stage.mesh.port, `POST / HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Length: 2\r\n\r\nhi`);
      await stage.mirror.request(3);
      assert.deepEqual(
        stage.mirror.requests.map(({ body }) => body),
        ['hi', 'hi', 'hi'],
      );
      await haveEnded(stage, 'answered', 3);
    });
  });

  test('expects no permission to send its content', async () => {
    await onStage({}, async ({ mesh, mirror }) => {
      const client = await Client.connect(mesh.port);
      client.send(`POST / HTTP/1.1\r\n${HEAD}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`);
      await eventually(() => client.received.includes('100 Continue'), WAIT);
      client.send('hi');
      const copy = await mirror.request(1, WAIT.waitMs);
      assert.deepEqual([copy.body, valueOf(copy, 'expect')], ['hi', undefined]);
      client.destroy();
    });
  });

  test('leaves when the request is complete, and not before', async () => {
    await onStage({}, async ({ mesh, main, mirror }) => {
      const client = await Client.connect(mesh.port);
      client.send(`POST / HTTP/1.1\r\n${HEAD}Content-Length: 10\r\n\r\nhello`);
      await eventually(() => main.expecting, WAIT);
      await sleep(QUIET_MS);
      assert.equal(mirror.upstream.connections.length, 0);
      client.send('world');
      assert.equal((await mirror.request(1, WAIT.waitMs)).body, 'helloworld');
      client.destroy();
    });
  });
});

describe('a request that is mirrored', () => {
  test('waits for no mirror, and is not changed by its answer', async () => {
    const silent: Respond = () => {};
    await onStage({ respond: silent }, async (stage) => {
      const reply = await exchange(stage.mesh.port, GET);
      assert.equal(reply.status, 200);
      await stage.mirror.request(1);
      await eventually(() => stage.mesh.totals('test/orders:80').requests === 1, WAIT);
      assert.deepEqual(stage.mesh.totals('test/orders:80').statuses, [['200', 1]]);
      assert.deepEqual(stage.mesh.totals('test/shadow:80').statuses, []);
    });
  });

  test('is not copied once it is longer than 64 KiB, whether it says so beforehand or not', async () => {
    await onStage({}, async (stage) => {
      const { mesh, main } = stage;
      const body = 'x'.repeat(BODY_MAX + 1);
      const length = `${(BODY_MAX + 1).toString(16)}\r\n`;
      await exchange(
        mesh.port,
        `POST /a HTTP/1.1\r\n${HEAD}Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      await exchange(
        mesh.port,
        `POST /b HTTP/1.1\r\n${HEAD}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n${length}${body}\r\n0\r\n\r\n`,
      );
      await haveEnded(stage, 'dropped', 2);
      assert.deepEqual(
        main.requests.map((request) => request.body.length),
        [BODY_MAX + 1, BODY_MAX + 1],
      );
      assert.equal(stage.mirror.upstream.connections.length, 0);
    });
  });

  test('is not copied when its client breaks off', async () => {
    await onStage({}, async (stage) => {
      const client = await Client.connect(stage.mesh.port);
      client.send(`POST / HTTP/1.1\r\n${HEAD}Content-Length: 10\r\n\r\nhello`);
      await eventually(() => stage.main.expecting, WAIT);
      client.destroy();
      await haveEnded(stage, 'dropped');
      assert.equal(stage.mirror.upstream.connections.length, 0);
    });
  });

  test('is not copied when it wants another protocol', async () => {
    await onStage({}, async (stage) => {
      await exchange(stage.mesh.port, `GET / HTTP/1.1\r\n${HEAD}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`);
      await haveEnded(stage, 'dropped');
      assert.equal(stage.mirror.upstream.connections.length, 0);
    });
  });
});

describe('mirrors', () => {
  test('have as many copies under way as the limit says, and the others are dropped', async () => {
    const silent: Respond = () => {};
    await onStage({ respond: silent, flags: { 'limit-mirrors': '3' } }, async (stage) => {
      for (let turn = 0; turn < 5; turn++) await exchange(stage.mesh.port, GET);
      await stage.mirror.request(3);
      assert.deepEqual(mirrored(stage), { dropped: 2 });
      assert.equal(stage.mesh.totals('test/shadow:80').mirrorsActive, 3);
    });
  });

  test('have room for copies while other requests wait', async () => {
    const delay = { type: 'delay', leastMs: 2000, mostMs: 2000, share: 1 } as const;
    await onStage({ faults: [delay], flags: { 'limit-mirrors': '1' } }, async (stage) => {
      const clients = [await Client.connect(stage.mesh.port), await Client.connect(stage.mesh.port)];
      clients[0]!.send(GET);
      await sleep(1000);
      clients[1]!.send(GET);
      for (const client of clients) await client.reply(WAIT);
      await haveEnded(stage, 'answered', 2);
      for (const client of clients) client.destroy();
    });
  });

  test('that do not answer in time have failed, and make room', async () => {
    const silent: Respond = () => {};
    await onStage({ respond: silent, flags: { 'limit-mirrors': '1', 'timeout-request': '200ms' } }, async (stage) => {
      await exchange(stage.mesh.port, GET);
      await haveEnded(stage, 'failed');
      await exchange(stage.mesh.port, GET);
      await haveEnded(stage, 'failed', 2);
      assert.equal(stage.mirror.requests.length, 2);
    });
  });

  test('that break off get no second copy', async () => {
    const rude: Respond = (_, connection) => connection.socket.destroy();
    await onStage({ respond: rude }, async (stage) => {
      await exchange(stage.mesh.port, GET);
      await haveEnded(stage, 'failed');
      await sleep(QUIET_MS);
      assert.equal(stage.mirror.requests.length, 1);
    });
  });

  test('are not listened to for ever: an answer is cut after 1 MiB', async () => {
    const talkative: Respond = (_, connection) => {
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${8 * 1024 ** 2}\r\n\r\n`);
      connection.send(Buffer.alloc(2 * 1024 ** 2));
    };
    await onStage({ respond: talkative }, async (stage) => {
      await exchange(stage.mesh.port, GET);
      await haveEnded(stage, 'answered');
      const connection = await stage.mirror.upstream.connection(0);
      await eventually(() => connection.closed || connection.reset, WAIT);
    });
  });

  test('whose answer is cut say nothing against their endpoint', async () => {
    const talkative: Respond = (_, connection) => {
      connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${8 * 1024 ** 2}\r\n\r\n`);
      connection.send(Buffer.alloc(2 * 1024 ** 2));
    };
    const policy = { outlier: { ...DEFAULT_OUTLIER, consecutive: 1, maxShare: 0.5 } };
    await onStage({ respond: talkative, policy }, async (stage) => {
      for (let turn = 1; turn <= 4; turn++) {
        await exchange(stage.mesh.port, GET);
        await haveEnded(stage, 'answered', turn);
      }
      assert.deepEqual(stage.mesh.totals('test/shadow:80').ejections, []);
    });
  });

  test('behind a circuit breaker that is open get no copy, until one of them finds out that they are back', async () => {
    let respond: Respond = fail;
    const held: (() => void)[] = [];
    const policy = { breaker: breakerOf(OPEN_MS) };
    await onStage({ policy, respond: (...asked) => respond(...asked) }, async (stage) => {
      const { mesh, mirror } = stage;
      const openings = (): number => mesh.totals('test/shadow:80').breakerOpenings;
      for (let turn = 0; turn < 200 && openings() === 0; turn++) {
        await exchange(mesh.port, GET);
        await sleep(20);
      }
      assert.equal(openings(), 1);
      await eventually(() => mesh.totals('test/shadow:80').mirrorsActive === 0, WAIT);
      // It may have opened while the last requests were under way.
      const [failed, dropped] = [mirror.requests.length, mirrored(stage)['dropped'] ?? 0];
      respond = (request, connection) => held.push(() => connection.send(okReply(request)));
      await exchange(mesh.port, GET);
      await haveEnded(stage, 'dropped', dropped + 1);
      for (let turn = 0; turn < 200 && held.length === 0; turn++) {
        await exchange(mesh.port, GET);
        await sleep(OPEN_MS / 20);
      }
      for (let turn = 0; turn < 5; turn++) await exchange(mesh.port, GET);
      assert.equal(mirror.requests.length, failed + 1);
      assert.equal(mesh.totals('test/shadow:80').mirrorsActive, 1);
      respond = respondOk;
      held[0]!();
      await eventually(() => mesh.totals('test/shadow:80').mirrorsActive === 0, WAIT);
      await exchange(mesh.port, GET);
      await mirror.request(failed + 2);
    });
  });

  test('use the connections of their endpoint again', async () => {
    await onStage({}, async (stage) => {
      for (let turn = 1; turn <= 5; turn++) {
        await exchange(stage.mesh.port, GET);
        await haveEnded(stage, 'answered', turn);
      }
      assert.equal(stage.mirror.upstream.connections.length, 1);
    });
  });
});

describe('a request that the mesh refuses is not copied', () => {
  /** Both go nowhere, the one that is whole at once and the one whose body follows. */
  async function areRefused({ mesh, main, mirror }: Stage, status: number): Promise<void> {
    await eventually(() => mesh.totals('test/shadow:80').mirrorsActive === 0, WAIT);
    const [requests, copies] = [main.requests.length, mirror.requests.length];
    for (const text of [GET, POST, GET, POST]) assert.equal((await exchange(mesh.port, text)).status, status);
    await sleep(QUIET_MS);
    assert.deepEqual([main.requests.length, mirror.requests.length], [requests, copies]);
    assert.equal(mesh.totals('test/shadow:80').mirrorsActive, 0);
  }

  test('because of a rate limit', async () => {
    const rateLimit: RateLimitPolicy = { count: 1, periodMs: 3_600_000, burst: 1, per: { of: 'service' } };
    await onStage({ rateLimit }, async (stage) => {
      await exchange(stage.mesh.port, GET);
      await stage.mirror.request(1);
      await areRefused(stage, 429);
    });
  });

  test('because of a circuit breaker that is open', async () => {
    await onStage({ orders: { respond: fail, policy: { breaker: breakerOf(600_000) } } }, async (stage) => {
      const openings = (): number => stage.mesh.totals('test/orders:80').breakerOpenings;
      for (let turn = 0; turn < 200 && openings() === 0; turn++) {
        await exchange(stage.mesh.port, GET);
        await sleep(20);
      }
      await areRefused(stage, 503);
    });
  });

  test('because as many are under way as may be', async () => {
    const policy = { maxInFlight: 1, queue: { length: 0, waitMs: 0 } };
    await onStage({ orders: { respond: () => {}, policy } }, async (stage) => {
      const client = await Client.connect(stage.mesh.port);
      client.send(GET);
      await stage.mirror.request(1);
      await areRefused(stage, 503);
      client.destroy();
    });
  });

  test('before it has waited for its place', async () => {
    const held: (() => void)[] = [];
    const respond: Respond = (request, connection) => held.push(() => connection.send(okReply(request)));
    const policy = { maxInFlight: 1, queue: { length: 1, waitMs: WAIT.waitMs } };
    await onStage({ orders: { respond, policy } }, async ({ mesh, mirror }) => {
      const clients = [await Client.connect(mesh.port), await Client.connect(mesh.port)];
      clients[0]!.send(GET);
      const active = (): number => mesh.totals('test/shadow:80').mirrorsActive;
      await eventually(() => mirror.requests.length === 1 && active() === 0, WAIT);
      clients[1]!.send(POST);
      await eventually(() => mesh.totals('test/orders:80').active === 2, WAIT);
      await sleep(QUIET_MS);
      assert.deepEqual([mirror.requests.length, active()], [1, 0]);
      held[0]!();
      assert.equal((await mirror.request(2, WAIT.waitMs)).body, 'hi');
      for (const client of clients) client.destroy();
    });
  });
});
