import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Endpoint, type Handler, status } from '../bridge/deliveries/endpoint.ts';
import { SUBSCRIPTION } from '../bridge/deliveries/node.ts';
import { Scene, until } from '../bridge/deliveries/scene.ts';
import { eventually, sleep } from '../harness/client.ts';

// What one subscription, worker or node takes away from another, and what it must not.

const WAIT_MS = 20_000;

/** Answers after a while, and knows how many it had at a time. */
function slowly(milliseconds: number): { readonly handler: Handler; readonly most: () => number } {
  let now = 0;
  let most = 0;
  return {
    handler: (_, response) => {
      most = Math.max(most, ++now);
      setTimeout(() => {
        now--;
        response.end();
      }, milliseconds);
    },
    most: () => most,
  };
}

test('a Service that holds all memory for bodies does not keep those of others from being delivered', async (t) => {
  const scene = await Scene.set(t);
  // It never answers.
  const stuck = await Endpoint.start(() => {});
  t.after(() => stuck.stop());
  const node = await scene.node();
  await scene.manager.streams.add({ name: 'BIG', subjects: ['big.>'] });
  const subscription = { ...SUBSCRIPTION, authority: node.authority };
  const big = {
    ...subscription,
    id: 'Service shop/big',
    subjects: ['big.>'],
    durable: 'heddle-shop-big-1',
    concurrency: 64,
  };
  node.obey(big, [stuck.address]);
  for (let n = 0; n < 24; n++) await scene.publish('big.a', 'x'.repeat(1_000_000));
  await eventually(() => stuck.seen.length >= 17, { what: '17 large messages', waitMs: WAIT_MS });
  node.obeyAll([big, subscription]);
  await scene.publish('orders.a', 'small');
  await eventually(() => stuck.bodies.includes('small'), {
    what: 'the message of another subscription',
    waitMs: WAIT_MS,
  });
});

test('two workers of a node have no more in flight together than the endpoint takes', async (t) => {
  const { handler, most } = slowly(30);
  const scene = await Scene.set(t, handler);
  for (let n = 0; n < 30; n++) await scene.publish('orders.a', String(n));
  for (const worker of [0, 1]) {
    const node = await scene.node({ workers: 2, worker });
    node.obey({ concurrency: 1 }, [scene.endpoint.address]);
  }
  await scene.sees(30);
  await scene.settled();
  assert.equal(most(), 1);
});

test('what waited when a worker began is not told for ever', async (t) => {
  const scene = await Scene.set(t);
  for (let n = 0; n < 50; n++) await scene.publish('orders.a', String(n));
  const nodes = [await scene.node({ workers: 2, worker: 0 }), await scene.node({ workers: 2, worker: 1 })];
  for (const node of nodes) node.obey({}, [scene.endpoint.address]);
  await scene.sees(50);
  await scene.settled();
  await eventually(() => nodes.every(({ report }) => report.pending + report.ackPending === 0), {
    what: 'nothing that waits',
    waitMs: WAIT_MS,
  });
});

test('no node stands in for one that has all that its endpoint takes', async (t) => {
  const { handler, most } = slowly(50);
  const scene = await Scene.set(t, handler);
  await scene.delivering({ concurrency: 1 });
  const second = await scene.node();
  second.obey({ concurrency: 1, endpoints: { local: 0, all: 1 } }, [scene.endpoint.address]);
  await second.reaches('standby');
  for (let n = 0; n < 80; n++) await scene.publish('orders.a', String(n));
  await scene.sees(80);
  await scene.settled();
  assert.equal(second.report.delivered, 0);
  assert.equal(most(), 1);
});

test('two subscriptions that are the dead letters of each other end in calm', async (t) => {
  const scene = await Scene.set(t, status(400));
  const nodes = [await scene.node(), await scene.node()] as const;
  nodes[0].obey({ deadLetter: 'dlq.x', durable: 'heddle-shop-a' }, [scene.endpoint.address]);
  nodes[1].obey({ subjects: ['dlq.>'], deadLetter: 'orders.x', durable: 'heddle-shop-b' }, [scene.endpoint.address]);
  for (const node of nodes) await node.reaches('delivering');
  await scene.publish('orders.a', 'one');
  await until('a message that went round', () =>
    Promise.resolve(nodes.some(({ report }) => /through the mesh 17 times/.test(report.lastError))),
  );
  // Many rounds, if there were any.
  await sleep(1000);
  const stored = await Promise.all(['ORDERS', 'DLQ'].map((name) => scene.manager.streams.info(name)));
  assert.equal(
    stored.reduce((sum, { state }) => sum + state.messages, 0),
    18,
  );
});
