import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { MeshClient } from './heddle.ts';
import { nameOf } from './box.ts';
import type { CallReply } from './load.ts';
import { deliveredBy, MessageScene, OTHER_NAMESPACE, type Receipt, STREAM } from './messages.ts';
import { NAMESPACE, NODES } from './scene.ts';
import { until } from './wait.ts';

const PUBLISH = '/v1/publish/orders.created';
const SHOP = {
  from: [{ namespaces: [NAMESPACE] }],
  publish: { allow: ['orders.>'] },
  subscribe: { allow: ['orders.>', 'invoices.>'] },
};
/** Goal: 1000. The rest is for a machine that is slow to look, the figure is printed. */
const OBEYED_MS = 5000;
const MANY = 200;

let scene: MessageScene;
before(async () => {
  scene = await MessageScene.start();
});
after(async () => scene?.stop());

function numbered(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix} ${index + 1}`);
}

function assertStatus({ status, body }: CallReply, expected: number): void {
  assert.equal(status, expected, body);
}

/** Each once, and as the first attempt. */
function assertOnce(receipts: readonly Receipt[], bodies: readonly string[]): void {
  const seen = receipts.map(({ body, attempt }) => `${body}, attempt ${attempt}`).toSorted();
  assert.deepEqual(seen, bodies.map((body) => `${body}, attempt 1`).toSorted());
}

/** What each attempt of the application was told to be, it was: none came twice. */
function assertNoTwins(receipts: readonly Receipt[]): void {
  const seen = receipts.map(({ body, attempt }) => `${body}, attempt ${attempt}`);
  assert.deepEqual(
    seen.filter((one, index) => seen.indexOf(one) !== index),
    [],
  );
}

/** Tests build on each other, in order. */
describe('a pod that publishes by the bridge of its node', () => {
  let client: MeshClient;
  let stranger: MeshClient;
  before(async () => {
    client = await scene.client('client-n1');
    stranger = await scene.client('stranger', OTHER_NAMESPACE);
  });

  /** The first reply with this status. */
  async function callUntil(who: MeshClient, status: number): Promise<CallReply> {
    let seen: CallReply | undefined;
    const look = async (): Promise<CallReply | undefined> => {
      seen = await scene.call(who, PUBLISH, { body: 'tried' });
      return seen.status === status ? seen : undefined;
    };
    return until(`${status} for ${who.pod}`, look, { got: () => JSON.stringify(seen) });
  }

  test('is refused without a policy, and told what is missing for its namespace', async () => {
    const reply = await callUntil(client, 403);
    assert.equal(reply.headers['content-type'], 'application/problem+json');
    const { code, outcome, detail } = JSON.parse(reply.body) as Readonly<Record<string, string>>;
    assert.deepEqual({ code, outcome }, { code: 'not-allowed', outcome: 'not-sent' });
    assert.match(detail!, /No NatsPolicy allows .*\bshop\b.* to publish .*orders\.created/);
  });

  test('may do what a policy says whose kind the cluster did not know when the mesh began', async (t) => {
    const identities = async (): Promise<readonly object[]> =>
      Promise.all(
        NODES.map(async ({ name }) => {
          const { metadata, status } = await scene.mesh(name);
          return { uid: metadata.uid, restarts: status.containerStatuses?.map(({ restartCount }) => restartCount) };
        }),
      );
    const earlier = await identities();
    const startMs = performance.now();
    await scene.defineKinds();
    await until('the kind', async () => scene.allow(SHOP).then(() => true));
    await callUntil(client, 202);
    t.diagnostic(`kinds and a policy are obeyed after ${Math.round(performance.now() - startMs)} ms`);
    assert.deepEqual(await identities(), earlier);
  });

  test('is told that the stream has its message', async () => {
    const reply = await scene.call(client, `${PUBLISH}?ack=stream`, { body: 'stored' });
    assertStatus(reply, 201);
    assert.equal(reply.headers['nats-stream'], STREAM);
  });

  test('may do so by the authority nats.mesh on the port of the mesh', async () => {
    assertStatus(
      await scene.call(client, PUBLISH, { url: `${client.url}${PUBLISH}`, host: 'nats.mesh', body: 'x' }),
      202,
    );
  });

  test('may do so with the node as HTTP proxy', async () => {
    const more = { url: `http://nats.mesh${PUBLISH}`, proxy: client.url, body: 'x' };
    assertStatus(await scene.call(client, PUBLISH, more), 202);
    assertStatus(await scene.call(stranger, PUBLISH, more), 403);
  });

  test('of another namespace is refused', async () => {
    assertStatus(await scene.call(stranger, PUBLISH, { body: 'x' }), 403);
    const reply = await scene.call(stranger, PUBLISH, { url: `${client.url}${PUBLISH}`, host: 'nats.mesh', body: 'x' });
    assertStatus(reply, 403);
  });

  test('of the network of the node is refused, whatever its namespace', async () => {
    assertStatus(await scene.call(await scene.client('host-network'), PUBLISH, { body: 'x' }), 403);
  });

  test('of another node is refused: its node would know it', async () => {
    const far = await scene.client('client-n2');
    const url = `http://${client.node}:4280${PUBLISH}`;
    assertStatus(await scene.call(far, PUBLISH, { url, body: 'x' }), 403);
    await callUntil(far, 202);
  });

  test('is told apart by its labels', async (t) => {
    t.after(async () => scene.allow(SHOP));
    await scene.allow({ ...SHOP, from: [{ namespaces: [NAMESPACE], podLabels: { app: 'client-n2' } }] });
    await callUntil(client, 403);
    assertStatus(await scene.call(await scene.client('client-n2'), PUBLISH, { body: 'x' }), 202);
  });

  test('is refused within a second what a policy denies', async (t) => {
    t.after(async () => {
      await scene.allow(SHOP);
      await callUntil(client, 202);
    });
    await callUntil(client, 202);
    await scene.allow({ ...SHOP, publish: { allow: ['orders.>'], deny: ['orders.created'] } });
    const startMs = performance.now();
    await callUntil(client, 403);
    const ms = Math.round(performance.now() - startMs);
    t.diagnostic(`a denial is obeyed after ${ms} ms`);
    assert.ok(ms < OBEYED_MS, `Expected it within ${OBEYED_MS} ms, got ${ms} ms`);
  });
});

/** Tests build on each other, in order. The endpoint is on n1, if a test does not say otherwise. */
describe('a Service that is annotated with nats-subscribe', () => {
  before(async () => {
    await scene.move('n1');
    await scene.scene.kubectl(
      'annotate',
      'service',
      'orders',
      'heddle.dev/nats-subscribe=orders.created',
      'heddle.dev/nats-path=/messages',
      'heddle.dev/nats-concurrency=4',
    );
    await scene.awaitDelivery('n1', 'delivering');
  });

  test('gets what its clients publish, and who it was, and its 2xx acknowledges', async () => {
    const reply = await scene.call(await scene.client('client-n2'), `${PUBLISH}?ack=stream`, { body: 'first' });
    assertStatus(reply, 201);
    const [receipt] = await scene.awaitReceived('first', ['first']);
    assert.equal(receipt!.subject, 'orders.created');
    assert.match(receipt!.source, /\bshop\b/);
    assert.ok((await scene.awaitAcknowledged()) >= Number(reply.headers['nats-sequence']));
  });

  test('gets them from the node of its endpoint only', async () => {
    await scene.awaitDelivery('n2', 'standby');
    const bodies = numbered('local', 50);
    const [earlier] = await Promise.all([scene.delivery('n2'), scene.publish('orders.created', bodies)]);
    const receipts = await scene.awaitReceived('local', bodies);
    assertOnce(receipts, bodies);
    assert.deepEqual(new Set(receipts.map(deliveredBy)), new Set(['n1']));
    const there = await scene.delivery('n2');
    assert.deepEqual([there.state, there.delivered], ['standby', earlier.delivered]);
  });

  test('that moves to another node gets them from there, each once', async (t) => {
    const bodies = numbered('moving', MANY);
    const moved = scene.move('n2').then(async () => scene.awaitDelivery('n2', 'delivering'));
    // All along the move, some at a time.
    for (let index = 0; index < bodies.length; index += 10) {
      await scene.publish('orders.created', bodies.slice(index, index + 10));
      await Promise.race([moved, new Promise((resolve) => setTimeout(resolve, 250))]);
    }
    await moved;
    await scene.awaitDelivery('n1', 'standby');
    const last = numbered('moving on', 20);
    await scene.publish('orders.created', last);
    const receipts = await scene.awaitReceived('moving', [...bodies, ...last]);
    assertOnce(receipts, [...bodies, ...last]);
    const by = Map.groupBy(receipts, (receipt) => deliveredBy(receipt) ?? 'nobody');
    t.diagnostic(`delivered by ${[...by].map(([node, some]) => `${node}: ${some.length}`).join(', ')}`);
    const late = receipts.filter(({ body }) => body.startsWith('moving on'));
    assert.deepEqual(new Set(late.map(deliveredBy)), new Set(['n2']));
  });

  test('without an endpoint anywhere gets them later, and no attempt counts', async () => {
    await scene.scene.kubectl('scale', 'deployment/orders', '--replicas=0');
    for (const { name } of NODES) await scene.awaitDelivery(name, 'held');
    const bodies = numbered('held', 20);
    await scene.publish('orders.created', bodies);
    await scene.scene.kubectl('scale', 'deployment/orders', '--replicas=1');
    await scene.move('n1');
    assertOnce(await scene.awaitReceived('held', bodies), bodies);
    await scene.awaitAcknowledged();
  });

  test('loses none and gets none twice when the pod of the mesh beside it is deleted', async (t) => {
    const bodies = numbered('deleted', MANY);
    await scene.publish('orders.created', bodies);
    await until('some to be delivered', async () => scene.received('deleted').length > 20);
    const { metadata } = await scene.mesh('n1');
    await scene.box.kubectl(['-n', 'heddle', 'delete', 'pod', metadata.name, '--wait=false']);
    const receipts = await scene.awaitReceived('deleted', bodies);
    t.diagnostic(`delivered by n2: ${receipts.filter((receipt) => deliveredBy(receipt) === 'n2').length}`);
    assertOnce(receipts, bodies);
  });

  test('loses none when the mesh beside it is killed', async (t) => {
    await until('another pod of the mesh', async () => {
      const { status } = await scene.mesh('n1');
      return status.containerStatuses?.[0]?.ready === true;
    });
    await scene.awaitDelivery('n1', 'delivering');
    const bodies = numbered('killed', MANY);
    await scene.publish('orders.created', bodies);
    await until('some to be delivered', async () => scene.received('killed').length > 20);
    const startMs = performance.now();
    scene.box.kill(nameOf(await scene.mesh('n1')));
    await scene.awaitReceived('killed', bodies);
    await scene.awaitAcknowledged();
    const receipts = scene.received('killed');
    const again = receipts.filter(({ attempt }) => attempt > 1).length;
    t.diagnostic(`all acknowledged after ${Math.round(performance.now() - startMs)} ms, with ${again} redeliveries`);
    assertNoTwins(receipts);
  });
});

describe('an object of kind Subscription', () => {
  function subscription(name: string, service: string, subjects: readonly string[]): object {
    return {
      apiVersion: 'heddle.dev/v1alpha1',
      kind: 'Subscription',
      metadata: { name, namespace: NAMESPACE },
      spec: { source: { subjects }, deliver: { serviceRef: { name: service }, path: '/messages' } },
    };
  }

  test('has messages delivered to the Service that it names', async () => {
    await scene.box.apply([subscription('invoices', 'orders', ['invoices.>'])]);
    await scene.awaitDelivery('n1', 'delivering', `Subscription ${NAMESPACE}/invoices`);
    await scene.publish('invoices.paid', ['invoice']);
    const [receipt] = await scene.awaitReceived('invoice', ['invoice']);
    assert.equal(receipt!.subject, 'invoices.paid');
  });

  for (const [what, object, expected] of [
    ['a Service that is not there', subscription('lost', 'nobody', ['invoices.>']), /nobody/],
    ['subjects that no policy allows', subscription('greedy', 'orders', ['secrets.>']), /secrets\.>/],
  ] as const) {
    test(`with ${what} is a problem, and harms nothing else`, async () => {
      await scene.box.apply([object]);
      const { name } = (object as { readonly metadata: { readonly name: string } }).metadata;
      for (const node of NODES) {
        const problem = await until(`a problem of ${name}`, async () =>
          (await scene.problems(node.name)).find((one) => one.object === `Subscription ${NAMESPACE}/${name}`),
        );
        assert.match(problem.text, expected);
      }
      await scene.publish('invoices.paid', [`beside ${name}`]);
      await scene.publish('orders.created', [`beside ${name} too`]);
      await scene.awaitReceived('beside', [`beside ${name}`, `beside ${name} too`]);
    });
  }
});

describe('a nats-server that dies', () => {
  test('leaves nodes ready, which say so, and callers told that nothing was sent', async () => {
    await scene.broker.kill();
    for (const { name } of NODES) {
      const { status, body } = await until('a lost link', async () => {
        const reply = await scene.readiness(name);
        return /bridge ok: (lost|connecting)/.test(reply.body) ? reply : undefined;
      });
      assert.equal(status, 200, body);
      await until('a problem', async () => (await scene.problems(name)).some(({ object }) => object === '--nats-url'));
    }
    const reply = await scene.call(await scene.client('client-n1'), PUBLISH, { body: 'nowhere' });
    assertStatus(reply, 503);
    const { code, outcome } = JSON.parse(reply.body) as Readonly<Record<string, string>>;
    assert.deepEqual({ code, outcome }, { code: 'no-broker', outcome: 'not-sent' });
  });

  test('and comes back has deliveries go on', async (t) => {
    const startMs = performance.now();
    await scene.broker.restart();
    const bodies = numbered('back', 20);
    await scene.publish('orders.created', bodies);
    assertOnce(await scene.awaitReceived('back', bodies), bodies);
    t.diagnostic(`deliveries go on after ${Math.round(performance.now() - startMs)} ms`);
    for (const { name } of NODES) {
      await until('no problem', async () =>
        (await scene.problems(name)).every(({ object }) => object !== '--nats-url'),
      );
    }
    assert.deepEqual(scene.received('nowhere'), []);
  });
});
