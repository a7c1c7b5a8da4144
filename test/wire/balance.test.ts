import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Client } from '../harness/client.ts';
import { configurationOf, DataPath, type ServedSpec } from '../harness/data-path.ts';
import { assertPassed } from '../harness/failure.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { refusedAddress } from '../harness/upstream.ts';

const recorders: Recorder[] = [];
const paths: DataPath[] = [];

/** Upstreams that answer with their own address. */
async function upstreams(count: number): Promise<readonly Recorder[]> {
  const made = await Promise.all(
    Array.from({ length: count }, async () => {
      const recorder: Recorder = await Recorder.start((request, connection) =>
        connection.send(okReply(request, recorder.address)),
      );
      return recorder;
    }),
  );
  recorders.push(...made);
  return made;
}

async function start(service: Omit<ServedSpec, 'name'>, workers = 1): Promise<DataPath> {
  const path = await DataPath.start(configurationOf([{ name: 'orders', ...service }]), workers);
  paths.push(path);
  return path;
}

/** Each on a connection of its own, from this address; which upstream answered. */
async function ask(path: DataPath, count: number, localAddress = '127.0.0.1'): Promise<readonly string[]> {
  const bodies: string[] = [];
  for (let request = 0; request < count; request++) {
    const client = await Client.connect(path.port, { localAddress });
    client.send('GET /x HTTP/1.1\r\nHost: orders.test\r\n\r\n');
    const reply = await client.reply();
    client.destroy();
    assertPassed(reply);
    bodies.push(reply.body);
  }
  return bodies;
}

after(async () => {
  for (const path of paths) await path.stop();
  for (const recorder of recorders) await recorder.stop();
});

describe('tiers', () => {
  test('none of 200 requests fails while the only endpoint of the lowest tier is dead', async () => {
    const [live] = await upstreams(1);
    const path = await start({ tiers: [[await refusedAddress()], [live!.address]] });
    assert.deepEqual(new Set(await ask(path, 200)), new Set([live!.address]));
  });

  test('none of 200 requests fails while all endpoints of the lowest tier are dead', async () => {
    const [live] = await upstreams(1);
    const dead = await Promise.all([refusedAddress(), refusedAddress(), refusedAddress()]);
    const path = await start({ tiers: [[...new Set(dead)], [live!.address]] });
    assert.deepEqual(new Set(await ask(path, 200)), new Set([live!.address]));
  });

  test('a higher tier gets nothing while the lowest one answers', async () => {
    const [near, far] = await upstreams(2);
    const path = await start({ tiers: [[near!.address], [far!.address]] });
    assert.deepEqual(new Set(await ask(path, 20)), new Set([near!.address]));
  });

  test('endpoints that change their tiers change places, on the connections that they have', async () => {
    const [one, other] = await upstreams(2);
    const addresses = [[one!.address], [other!.address]];
    const path = await start({ tiers: addresses });
    await ask(path, 5);
    await path.publish(configurationOf([{ name: 'orders', tiers: addresses.toReversed() }]));
    assert.deepEqual(new Set(await ask(path, 5)), new Set([other!.address]));
    await path.publish(configurationOf([{ name: 'orders', tiers: addresses }]));
    assert.deepEqual(new Set(await ask(path, 5)), new Set([one!.address]));
    assert.equal(one!.upstream.connections.length, 1);
  });
});

describe('session affinity', () => {
  const clients = Array.from({ length: 16 }, (_, index) => `127.0.0.${index + 31}`);

  test('sends a client to one endpoint, whichever worker its connection came to', async () => {
    const made = await upstreams(4);
    const path = await start({ affinity: 'source', tiers: [made.map(({ address }) => address)] }, 2);
    const answers = await Promise.all(clients.map(async (client) => ask(path, 8, client)));
    for (const answer of answers) assert.equal(new Set(answer).size, 1);
    assert.ok(new Set(answers.flat()).size > 1);
    for (const worker of [0, 1]) assert.ok(path.accepted(worker) > 0, `Worker ${worker} was asked nothing`);
  });

  test('sends only the clients of an endpoint that goes to another one', async () => {
    const addresses = (await upstreams(4)).map(({ address }) => address);
    const path = await start({ affinity: 'source', tiers: [addresses] });
    const before = await Promise.all(clients.map(async (client) => (await ask(path, 1, client))[0]!));
    const gone = before[0]!;
    const left = addresses.filter((address) => address !== gone);
    await path.publish(configurationOf([{ name: 'orders', affinity: 'source', tiers: [left] }]));
    const now = await Promise.all(clients.map(async (client) => (await ask(path, 1, client))[0]!));
    for (const [index, address] of before.entries())
      assert.ok(address === gone ? now[index] !== gone : now[index] === address, `client ${index}`);
  });

  test('sends a client elsewhere while its endpoint is dead, and no request fails', async () => {
    const [live] = await upstreams(1);
    const path = await start({ affinity: 'source', tiers: [[await refusedAddress(), live!.address]] });
    for (const client of clients) assert.deepEqual(await ask(path, 2, client), [live!.address, live!.address]);
  });
});
