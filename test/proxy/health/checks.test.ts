import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { type Dice, SeededDice } from '../../../src/lib/dice.ts';
import { TimerWheel } from '../../../src/lib/timer-wheel.ts';
import type { BackendPolicy, HealthCheck } from '../../../src/model/resilience.ts';
import { ROW_FIRST } from '../../../src/model/rows.ts';
import type { BackendId } from '../../../src/model/snapshot.ts';
import { Keeper } from '../../../src/proxy/health.ts';
import { runTimer } from '../../../src/proxy/http.ts';
import { eventually, sleep } from '../../harness/client.ts';
import { refusedAddress, Upstream, type UpstreamConnection } from '../../harness/upstream.ts';
import { backendOf, Node, type NodeWorker, policyOf } from './node.ts';

const WAIT_MS = 10_000;
const BY_HTTP: HealthCheck = {
  by: 'http',
  path: '/healthz?full',
  expect: [{ from: 200, to: 299 }],
  everyMs: 60,
  timeoutMs: 300,
  fails: 2,
  passes: 2,
};
const BY_TCP: HealthCheck = { by: 'tcp', everyMs: 60, timeoutMs: 300, fails: 2, passes: 2 };
const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';
const BAD = 'HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n';

/** All that a test does to a request for a check. */
type Answer = (connection: UpstreamConnection) => void;

function say(text: string): Answer {
  return (connection) => connection.send(text);
}

/** An endpoint that answers once the request is there. */
async function answering(context: TestContext, answer: Answer): Promise<Upstream> {
  const upstream = await Upstream.start((connection) => {
    connection.socket.on('data', () => {
      if (connection.received.endsWith('\r\n\r\n')) answer(connection);
    });
  });
  context.after(async () => upstream.stop());
  return upstream;
}

interface Scene {
  readonly node: Node;
  readonly keeper: Keeper;
  readonly worker: NodeWorker;
  /** Backends beside the one, from the next plan on. */
  readonly others: NodeWorker[];
  /** Its plan from now on. */
  readonly adopt: (policy: BackendPolicy, addresses: readonly string[]) => void;
  /** Waits for what the check of an endpoint says. */
  readonly until: (index: number, state: string) => Promise<void>;
  readonly state: (index: number) => string;
  setKeeper: (isKeeper: boolean) => void;
}

/** A keeper whose heart beats, with one backend. */
function keep(
  context: TestContext,
  addresses: readonly string[],
  check: HealthCheck | undefined,
  dice: Dice = new SeededDice(1),
): Scene {
  const node = new Node(new TimerWheel(performance.now(), runTimer));
  node.wheel.start();
  const worker = node.worker(0, backendOf(policyOf(undefined, { check }), addresses));
  const others: NodeWorker[] = [];
  let plan = { generation: 1, backends: new Map([[worker.id, worker]]) };
  let isKeeper = true;
  const keeper = new Keeper(node.context, () => plan, dice);
  const beats = setInterval(() => keeper.beat(isKeeper, performance.now()), 20);
  context.after(async () => {
    clearInterval(beats);
    keeper.beat(false, performance.now());
    await sleep(20);
    node.wheel.stop();
  });
  const state = (index: number): string => node.endpoint(index, performance.now()).check;
  return {
    node,
    keeper,
    worker,
    others,
    adopt: (policy, to) => {
      worker.adopt(backendOf(policy, to));
      const backends = new Map([worker, ...others].map((one) => [one.id, one]));
      plan = { generation: plan.generation + 1, backends };
    },
    state,
    until: async (index, wanted) =>
      eventually(() => state(index) === wanted, { what: `endpoint ${index} to be ${wanted}`, waitMs: WAIT_MS }),
    setKeeper: (to) => (isKeeper = to),
  };
}

describe('a check by HTTP', { concurrency: 4 }, () => {
  test('is a GET to the address of the endpoint, on a connection of its own that is closed', async (context) => {
    const upstream = await answering(context, say(OK));
    const { until } = keep(context, [upstream.address], BY_HTTP);
    await until(0, 'passing');
    const connection = await upstream.connection(0);
    assert.equal(
      connection.received,
      `GET /healthz?full HTTP/1.1\r\nhost: ${upstream.address}\r\nuser-agent: heddle-health-check\r\nconnection: close\r\n\r\n`,
    );
    await eventually(() => connection.ended || connection.reset, { what: 'the connection to be closed' });
  });

  test('goes on as long as it is asked for', async (context) => {
    const upstream = await answering(context, say(OK));
    keep(context, [upstream.address], BY_HTTP);
    await eventually(() => upstream.connections.length >= 5, { what: 'five checks', waitMs: WAIT_MS });
  });

  const failing: Readonly<Record<string, Answer>> = {
    'answers with another status than is expected': say(BAD),
    'answers with a redirect': say('HTTP/1.1 301 Moved\r\nlocation: /\r\ncontent-length: 0\r\n\r\n'),
    'hangs': () => {},
    'answers byte by byte, and so never in time': (connection) => {
      const bytes = OK.split('');
      const timer = setInterval(() => connection.send(bytes.shift() ?? ''), 40);
      connection.socket.on('close', () => clearInterval(timer));
    },
    'resets the connection': ({ socket }) => socket.resetAndDestroy(),
    'closes the connection': ({ socket }) => socket.end(),
    'answers with a head of 1 MiB': say(`HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(1024 ** 2)}\r\n\r\n`),
    'answers with ten thousand lines': say(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(10_000)}\r\n`),
    'answers with interim answers without end': say('HTTP/1.1 102 Processing\r\n\r\n'.repeat(10_000)),
    'answers with interim answers that are longer together than one may be': say(
      `${`HTTP/1.1 103 Early Hints\r\nx-long: ${'x'.repeat(15_000)}\r\n\r\n`.repeat(4)}${OK}`,
    ),
    'answers with something else than HTTP': say('220 mail.example ESMTP\r\n\r\n'),
    'answers with a framing that nobody can read': say(
      'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    ),
  };
  for (const [what, answer] of Object.entries(failing)) {
    test(`fails where the endpoint ${what}`, async (context) => {
      const upstream = await answering(context, answer);
      const { until, worker } = keep(context, [upstream.address], BY_HTTP);
      assert.deepEqual(worker.usable, [0]);
      await until(0, 'failing');
      assert.deepEqual(worker.usable, []);
    });
  }

  test('fails where nobody listens', async (context) => {
    const { until } = keep(context, [await refusedAddress()], BY_HTTP);
    await until(0, 'failing');
  });

  const passing: Readonly<Record<string, Answer>> = {
    'slowly, byte by byte, but in time': (connection) => {
      void (async () => {
        for (const byte of OK) {
          connection.send(byte);
          await sleep(1);
        }
      })();
    },
    'after an interim answer': say(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${OK}`),
    'with a body that never ends, of which nothing is read': say('HTTP/1.1 200 OK\r\n\r\nand so on'),
    'by HTTP/1.0': say('HTTP/1.0 200 OK\r\n\r\n'),
  };
  for (const [how, answer] of Object.entries(passing)) {
    test(`passes where the endpoint answers ${how}`, async (context) => {
      const upstream = await answering(context, answer);
      const { until } = keep(context, [upstream.address], { ...BY_HTTP, timeoutMs: 3000 });
      await until(0, 'passing');
    });
  }

  test('expects the statuses that it is told to', async (context) => {
    const upstream = await answering(context, say(BAD));
    const { until } = keep(context, [upstream.address], { ...BY_HTTP, expect: [{ from: 500, to: 500 }] });
    await until(0, 'passing');
  });
});

describe('a check by TCP', { concurrency: 4 }, () => {
  test('passes where somebody accepts, and closes at once', async (context) => {
    const upstream = await Upstream.start();
    context.after(async () => upstream.stop());
    const { until } = keep(context, [upstream.address], BY_TCP);
    await until(0, 'passing');
    const connection = await upstream.connection(0);
    await eventually(() => connection.ended || connection.reset, { what: 'the connection to be closed' });
    assert.equal(connection.received, '');
  });

  test('fails where nobody listens', async (context) => {
    const { until } = keep(context, [await refusedAddress()], BY_TCP);
    await until(0, 'failing');
  });
});

describe('what is known of an endpoint', { concurrency: 4 }, () => {
  test('changes with so many results in a row, and each change raises the epoch', async (context) => {
    let isWell = false;
    const upstream = await answering(context, (connection) => connection.send(isWell ? OK : BAD));
    const { until, worker } = keep(context, [upstream.address], { ...BY_HTTP, fails: 3, passes: 4 });
    const { epoch } = worker.health;
    await until(0, 'failing');
    assert.equal(upstream.connections.length, 3);
    assert.notEqual(worker.health.epoch, epoch);
    isWell = true;
    const checks = upstream.connections.length;
    const later = worker.health.epoch;
    await until(0, 'passing');
    assert.ok(upstream.connections.length - checks >= 4);
    assert.notEqual(worker.health.epoch, later);
    assert.deepEqual(worker.usable, [0]);
  });

  test('is the same for all workers', async (context) => {
    const { until, node, worker } = keep(context, [await refusedAddress()], BY_TCP);
    const other = node.worker(1, worker.backend);
    await until(0, 'failing');
    assert.deepEqual(other.usable, []);
  });

  test('is cleared when nothing is checked any more', async (context) => {
    const address = await refusedAddress();
    const { until, adopt, worker } = keep(context, [address], BY_TCP);
    await until(0, 'failing');
    adopt(policyOf(undefined), [address]);
    assert.deepEqual(worker.usable, [0]);
    await until(0, 'unknown');
    adopt(policyOf(undefined, { check: { ...BY_TCP, everyMs: 60_000 } }), [address]);
    assert.deepEqual(worker.usable, [0]);
  });

  test('is cleared by a keeper that never knew why it stands there', async (context) => {
    const { until, worker } = keep(context, ['127.0.0.1:9'], undefined);
    worker.setCheck(0, 'failing');
    await until(0, 'unknown');
  });

  test('stays when it is to be checked in another way, until that has found something else', async (context) => {
    const upstream = await answering(context, say(BAD));
    const { until, adopt, state } = keep(context, [upstream.address], BY_HTTP);
    await until(0, 'failing');
    adopt(policyOf(undefined, { check: BY_TCP }), [upstream.address]);
    assert.equal(state(0), 'failing');
    await until(0, 'passing');
  });

  test('does not go by the answer to what it was asked before', async (context) => {
    const upstream = await answering(context, () => {});
    const check: HealthCheck = { ...BY_HTTP, everyMs: 60_000, timeoutMs: 60_000, fails: 1, passes: 1 };
    const { adopt, state, keeper } = keep(context, [upstream.address], check, { roll: () => 0 });
    const before = await upstream.connection(0);
    await eventually(() => before.received !== '', { what: 'the first question', waitMs: WAIT_MS });
    adopt(policyOf(undefined, { check: { ...check, path: '/ready' } }), [upstream.address]);
    const now = await upstream.connection(1);
    await eventually(() => now.received.startsWith('GET /ready '), { what: 'the next question', waitMs: WAIT_MS });
    before.send(BAD);
    await eventually(() => before.ended || before.reset, { what: 'the first connection to be closed' });
    assert.equal(keeper.checksUnderWay, 1);
    assert.equal(state(0), 'unknown');
  });

  test('stays when the keeper changes, and the next one goes on with it', async (context) => {
    let isWell = false;
    const upstream = await answering(context, (connection) => connection.send(isWell ? OK : BAD));
    const { until, setKeeper, state, keeper } = keep(context, [upstream.address], BY_HTTP);
    await until(0, 'failing');
    setKeeper(false);
    await eventually(() => keeper.checksUnderWay === 0, { what: 'no check to be under way' });
    isWell = true;
    const checks = upstream.connections.length;
    await sleep(300);
    assert.equal(upstream.connections.length, checks);
    assert.equal(state(0), 'failing');
    setKeeper(true);
    await until(0, 'passing');
  });

  test('is not told any more of an endpoint that is gone', async (context) => {
    const [gone, stays] = [await answering(context, () => {}), await answering(context, say(OK))];
    const { until, adopt, keeper, node } = keep(context, [gone.address, stays.address], { ...BY_HTTP, fails: 1 });
    await gone.connection(0);
    adopt(policyOf(undefined, { check: { ...BY_HTTP, fails: 1 } }), [stays.address]);
    await until(1, 'passing');
    await eventually(() => gone.connections.every(({ ended, reset }) => ended || reset), {
      what: 'the check to be given up',
    });
    await sleep(400);
    assert.equal(node.endpoint(0, performance.now()).check, 'unknown');
    assert.ok(keeper.checksUnderWay <= 1);
  });
});

test('of many endpoints that hang not all are asked at once, and each has its turn', async (context) => {
  const upstreams = await Promise.all(Array.from({ length: 300 }, async () => Upstream.start()));
  context.after(async () => Promise.all(upstreams.map(async (upstream) => upstream.stop())));
  const check: HealthCheck = { ...BY_HTTP, everyMs: 20, timeoutMs: 250, fails: 1 };
  const { state, keeper } = keep(
    context,
    upstreams.map(({ address }) => address),
    check,
  );
  let most = 0;
  await eventually(
    () => {
      most = Math.max(most, keeper.checksUnderWay);
      return upstreams.every((_, index) => state(index) === 'failing');
    },
    { what: 'each endpoint to have had its turn', waitMs: 20_000 },
  );
  assert.ok(most > 64 && most <= 256, `Expected at most 256 at once, got ${most}`);
});

test('how often an endpoint is asked changes at once, also while it is being asked', async (context) => {
  const upstream = await answering(context, () => {});
  const seldom: HealthCheck = { ...BY_HTTP, everyMs: 3_600_000, timeoutMs: 500 };
  const { adopt } = keep(context, [upstream.address], seldom, { roll: () => 0 });
  await eventually(() => upstream.connections.length === 1, { what: 'the first check', waitMs: WAIT_MS });
  adopt(policyOf(undefined, { check: { ...seldom, everyMs: 50 } }), [upstream.address]);
  await eventually(() => upstream.connections.length >= 3, { what: 'two more', waitMs: WAIT_MS });
});

test('endpoints of one backend that hang, however many, do not keep others from being checked', async (context) => {
  const [hanging, good] = [
    await Promise.all(Array.from({ length: 300 }, async () => Upstream.start())),
    await answering(context, say(OK)),
  ];
  context.after(async () => Promise.all(hanging.map(async (upstream) => upstream.stop())));
  const check: HealthCheck = { ...BY_HTTP, everyMs: 60_000, timeoutMs: 60_000 };
  const hang = hanging.map(({ address }) => address);
  const { node, keeper, adopt, others } = keep(context, hang, { ...check, everyMs: 100 });
  await eventually(() => keeper.checksUnderWay >= 80, {
    what: 'the endpoints that hang to be asked',
    waitMs: WAIT_MS,
  });
  const other = node.worker(
    0,
    backendOf(policyOf(undefined, { check: BY_HTTP }), [good.address], 'users'),
    ROW_FIRST + 400,
  );
  others.push(other);
  adopt(policyOf(undefined, { check }), hang);
  await eventually(() => node.endpoint(400, performance.now()).check === 'passing', {
    what: 'the other endpoint to be found good',
    waitMs: WAIT_MS,
  });
});

test('Services of one namespace whose endpoints hang, however many, do not keep those of others from being checked', async (context) => {
  const [hanging, good] = [await answering(context, () => {}), await answering(context, say(OK))];
  const check: HealthCheck = { ...BY_HTTP, everyMs: 100, timeoutMs: 60_000 };
  const { node, keeper, adopt, others } = keep(context, [hanging.address], check);
  const policy = policyOf(undefined, { check });
  for (let count = 1; count < 300; count++)
    others.push(node.worker(0, backendOf(policy, [hanging.address], `hanging-${count}`), ROW_FIRST + count));
  adopt(policy, [hanging.address]);
  await eventually(() => keeper.checksUnderWay >= 120, { what: 'most of them to be asked', waitMs: WAIT_MS });
  await sleep(300);
  const other = backendOf(policyOf(undefined, { check: BY_HTTP }), [good.address], 'users');
  others.push(node.worker(0, { ...other, namespace: 'other', id: 'other/users:80' as BackendId }, ROW_FIRST + 400));
  adopt(policy, [hanging.address]);
  await eventually(() => node.endpoint(400, performance.now()).check === 'passing', {
    what: 'the endpoint of another namespace to be found good',
    waitMs: WAIT_MS,
  });
});

test('an endpoint that hangs is never asked twice at once, however often it shall be asked', async (context) => {
  const upstream = await answering(context, () => {});
  const { until } = keep(context, [upstream.address], { ...BY_HTTP, everyMs: 10, timeoutMs: 500, fails: 3 });
  await until(0, 'failing');
  assert.ok(upstream.connections.length <= 4, `Expected 3 checks, got ${upstream.connections.length}`);
});
