import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { DEFAULT_BALANCE, DEFAULT_OUTLIER } from '../../src/model/resilience.ts';
import { Client, type FinalReply } from '../harness/client.ts';
import { configurationOf, DataPath, type ServedSpec } from '../harness/data-path.ts';
import { assertPassed } from '../harness/failure.ts';
import { okReply, Recorder } from '../harness/recorder.ts';
import { refusedAddress } from '../harness/upstream.ts';

const BY_SOURCE = { balance: { ...DEFAULT_BALANCE, algorithm: 'rendezvous' } } as const;
const ROUND_ROBIN = { ...DEFAULT_BALANCE, algorithm: 'round-robin' } as const;
/** Retries as many as requests: these tests ask where retries go, not how many there may be. */
const RETRIES = { budget: { share: 1, perS: 100, windowMs: 10_000 } };

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

/** On a connection of its own, from this address. */
async function exchange(
  path: DataPath,
  localAddress = '127.0.0.1',
  lines: readonly string[] = [],
): Promise<FinalReply> {
  const client = await Client.connect(path.port, { localAddress });
  client.send(`${['GET /x HTTP/1.1', 'Host: orders.test', ...lines].join('\r\n')}\r\n\r\n`);
  const reply = await client.reply();
  client.destroy();
  return reply;
}

/** Which upstream answered each. */
async function ask(
  path: DataPath,
  count: number,
  localAddress?: string,
  lines?: readonly string[],
): Promise<readonly string[]> {
  const bodies: string[] = [];
  for (let asked = 0; asked < count; asked++) {
    const reply = await exchange(path, localAddress, lines);
    assertPassed(reply);
    bodies.push(reply.body);
  }
  return bodies;
}

after(async () => {
  // One that complains must not leave the others running.
  const stopped = await Promise.allSettled([...paths, ...recorders].map((one) => one.stop()));
  const failed = stopped.find(({ status }) => status === 'rejected');
  if (failed?.status === 'rejected') throw failed.reason;
});

describe('tiers', () => {
  test('none of 200 requests fails while the only endpoint of the lowest tier is dead', async () => {
    const [live] = await upstreams(1);
    const path = await start({ policy: RETRIES, tiers: [[await refusedAddress()], [live!.address]] });
    assert.deepEqual(new Set(await ask(path, 200)), new Set([live!.address]));
  });

  test('none of 200 requests fails while all endpoints of the lowest tier are dead', async () => {
    const [live] = await upstreams(1);
    const dead = await Promise.all([refusedAddress(), refusedAddress(), refusedAddress()]);
    const path = await start({ policy: RETRIES, tiers: [[...new Set(dead)], [live!.address]] });
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
    const path = await start({ policy: BY_SOURCE, tiers: [made.map(({ address }) => address)] }, 2);
    const answers = await Promise.all(clients.map(async (client) => ask(path, 8, client)));
    for (const answer of answers) assert.equal(new Set(answer).size, 1);
    assert.ok(new Set(answers.flat()).size > 1);
    for (const worker of [0, 1]) assert.ok(path.accepted(worker) > 0, `Worker ${worker} was asked nothing`);
  });

  test('sends only the clients of an endpoint that goes to another one', async () => {
    const addresses = (await upstreams(4)).map(({ address }) => address);
    const path = await start({ policy: BY_SOURCE, tiers: [addresses] });
    const before = await Promise.all(clients.map(async (client) => (await ask(path, 1, client))[0]!));
    const gone = before[0]!;
    const left = addresses.filter((address) => address !== gone);
    await path.publish(configurationOf([{ name: 'orders', policy: BY_SOURCE, tiers: [left] }]));
    const now = await Promise.all(clients.map(async (client) => (await ask(path, 1, client))[0]!));
    for (const [index, address] of before.entries())
      assert.ok(address === gone ? now[index] !== gone : now[index] === address, `client ${index}`);
  });

  test('sends a client elsewhere while its endpoint is dead, and no request fails', async () => {
    const [live] = await upstreams(1);
    const path = await start({ policy: BY_SOURCE, tiers: [[await refusedAddress(), live!.address]] });
    for (const client of clients) assert.deepEqual(await ask(path, 2, client), [live!.address, live!.address]);
  });
});

describe('hash', () => {
  test('keeps the requests of one user together, whichever worker and client they come from', async () => {
    const made = await upstreams(4);
    const balance = { ...DEFAULT_BALANCE, algorithm: 'maglev', hashOn: { of: 'header', name: 'x-user' } } as const;
    const path = await start({ policy: { balance }, tiers: [made.map(({ address }) => address)] }, 2);
    const users = Array.from({ length: 16 }, (_, index) => `user-${index}`);
    const answers = await Promise.all(
      users.map(async (user, index) => ask(path, 6, `127.0.0.${index + 60}`, [`x-user: ${user}`])),
    );
    for (const answer of answers) assert.equal(new Set(answer).size, 1);
    assert.ok(new Set(answers.flat()).size > 1);
  });
});

describe('ejection', () => {
  test('an endpoint that fails in a row gets nothing for a while', async () => {
    const bad = await Recorder.start((_, connection) => {
      connection.send('HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n');
    });
    recorders.push(bad);
    const [good] = await upstreams(1);
    const outlier = { ...DEFAULT_OUTLIER, baseMs: 60_000, maxMs: 60_000 };
    const path = await start({ policy: { outlier, balance: ROUND_ROBIN }, tiers: [[bad.address, good!.address]] });
    const statuses: number[] = [];
    for (let asked = 0; asked < 40; asked++) statuses.push((await exchange(path)).status);
    assert.equal(statuses.filter((status) => status === 500).length, outlier.consecutive);
    assert.deepEqual(new Set(statuses.slice(-25)), new Set([200]));
  });
});

describe('slow start', () => {
  test('an endpoint that comes later gets a small share at first', async () => {
    const [old, fresh] = await upstreams(2);
    const policy = { balance: { ...ROUND_ROBIN, slowStartMs: 600_000 } };
    const path = await start({ policy, tiers: [[old!.address]] });
    await path.publish(configurationOf([{ name: 'orders', policy, tiers: [[old!.address, fresh!.address]] }]));
    const answers = await ask(path, 100);
    const share = answers.filter((address) => address === fresh!.address).length / answers.length;
    assert.ok(share < 0.2, `${share}`);
  });
});
