/** Clients that try to get round rules, and plans that change under way: with a data path of its own. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { markOf } from '../../src/lib/mark.ts';
import {
  type FrontendPolicy,
  NO_POLICY,
  type Rule,
  type RuleTable,
  type SessionPolicy,
} from '../../src/model/routing.ts';
import type { BackendId, Configuration } from '../../src/model/snapshot.ts';
import { Client, eventually, exchange, sleep } from '../harness/client.ts';
import { configurationOf, DataPath } from '../harness/data-path.ts';
import { assertFailure } from '../harness/failure.ts';
import { type Request, valueOf, valuesOf } from '../harness/message.ts';
import { okReply, Recorder, type Respond } from '../harness/recorder.ts';
import { staged } from '../harness/staged.ts';
import { entry, header, rule, table, target } from './routed.ts';

const WAIT = { waitMs: 15_000 };
/** Longer than a plan takes to be in force on a busy machine. */
const DELAY_MS = 2500;
const ORDERS = 'shop/orders:80' as BackendId;

interface Scene {
  readonly mesh: DataPath;
  readonly one: Recorder;
  readonly two: Recorder;
  /** What is there now; `all`: its rules. */
  readonly configuration: (wishes?: Wishes) => Configuration;
}

interface Wishes {
  readonly all?: RuleTable | undefined;
  readonly policy?: Partial<FrontendPolicy>;
  /** Endpoints of `shop/orders`, by the recorders' names. */
  readonly orders?: readonly ('one' | 'two')[];
  /** Without `shop/orders-v2`. */
  readonly alone?: boolean;
}

/** `shop/orders` at `one`, `shop/orders-v2` at `two`. */
async function onScene(
  { respond, flags, ...wishes }: Wishes & { readonly respond?: Respond; readonly flags?: Record<string, string> },
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  await staged(async (start) => {
    const [one, two] = [await start(Recorder.start(respond)), await start(Recorder.start(respond))];
    const at = { one: one.address, two: two.address };
    const configuration = ({ all, policy, orders = ['one'], alone = false }: Wishes = wishes): Configuration => {
      const services = [
        { namespace: 'shop', name: 'orders', tiers: [orders.map((name) => at[name])] },
        ...(alone ? [] : [{ namespace: 'shop', name: 'orders-v2', tiers: [[at.two]] }]),
      ];
      const routing = { id: ORDERS, policy: { ...NO_POLICY, ...policy }, consumers: {}, all };
      return { ...configurationOf(services), routings: [routing] };
    };
    const mesh = await start(DataPath.start(configuration(), 1, flags));
    await play({ mesh, one, two, configuration });
  });
}

/** One rule for all. */
function ruled(wishes: Partial<Rule>): RuleTable {
  return table([rule(0, { targets: [target('orders', 1)], ...wishes })], [entry(0, 'prefix ')]);
}

const HOST = 'Host: orders.shop\r\n';

async function get({ mesh }: Scene, more = '', path = '/'): ReturnType<typeof exchange> {
  return exchange(mesh.port, `GET ${path} HTTP/1.1\r\n${HOST}${more}\r\n`);
}

async function atRest({ mesh }: Scene, names: readonly string[] = ['orders', 'orders-v2']): Promise<void> {
  for (const name of names) {
    const rests = (): boolean => {
      const { active, mirrorsActive } = mesh.totals(`shop/${name}:80`);
      return active + mirrorsActive === 0;
    };
    await eventually(rests, { what: `${name} to rest`, ...WAIT });
  }
}

describe('a plan that changes during a delay', () => {
  const delay = { faults: [{ type: 'delay', leastMs: DELAY_MS, mostMs: DELAY_MS, share: 1 }] } as const;

  test('lets nothing go to a backend that is gone', async () => {
    await onScene({ all: ruled({ targets: [target('orders-v2', 1)] }), policy: delay }, async (scene) => {
      const { mesh, two, configuration } = scene;
      const client = await Client.connect(mesh.port);
      client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
      await eventually(() => mesh.totals('shop/orders-v2:80').active === 1, WAIT);
      await mesh.publish(configuration({ alone: true }));
      assertFailure(await client.reply(WAIT), 'no-endpoint');
      client.destroy();
      assert.equal(two.requests.length, 0);
    });
  });

  test('sends a request to the endpoints that are there at its end', async () => {
    await onScene({ all: ruled({}), policy: delay }, async (scene) => {
      const { mesh, one, two, configuration } = scene;
      const client = await Client.connect(mesh.port);
      client.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`);
      await eventually(() => mesh.totals(ORDERS).active === 1, WAIT);
      await mesh.publish(configuration({ all: undefined, policy: {}, orders: ['two'] }));
      assert.equal((await client.reply(WAIT)).status, 200);
      client.destroy();
      assert.equal(one.requests.length, 0);
      assert.equal(two.requests[0]!.body, 'hello');
      await atRest(scene);
    });
  });

  test('and a client that leaves meanwhile leaves nothing behind', async () => {
    await onScene({ all: ruled({}), policy: delay }, async (scene) => {
      const client = await Client.connect(scene.mesh.port);
      client.send(`GET / HTTP/1.1\r\n${HOST}\r\n`);
      await eventually(() => scene.mesh.totals(ORDERS).active === 1, WAIT);
      client.reset();
      await atRest(scene);
      await sleep(DELAY_MS + 200);
      assert.equal(scene.one.upstream.connections.length, 0);
    });
  });
});

describe('what a rule takes out of a head', () => {
  const edits = { drop: ['x-admin', 'x-set'], lines: [['x-set', 'ours']] } as const;

  test('does not come back as a trailer of the request', async () => {
    const request = { ...edits, host: '', path: undefined };
    await onScene({ all: ruled({ targets: [target('orders', 1, { request })] }) }, async (scene) => {
      const trailers = 'x-admin: 1\r\nX-Set: theirs\r\nx-fine: 1\r\n';
      const text = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n${trailers}\r\n`;
      assert.equal((await exchange(scene.mesh.port, text)).status, 200);
      assert.deepEqual(namesOf(scene.one.requests[0]!.trailers), ['x-fine']);
    });
  });

  test('does not come back as a trailer of the reply', async () => {
    const respond: Respond = (_, connection) => {
      const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
      connection.send(`${head}1\r\na\r\n0\r\nX-Admin: 1\r\nx-fine: 1\r\n\r\n`);
    };
    await onScene({ respond, all: ruled({ targets: [target('orders', 1, { response: edits })] }) }, async (scene) => {
      const reply = await get(scene);
      assert.equal(reply.body, 'a');
      assert.deepEqual(namesOf(reply.trailers), ['x-fine']);
    });
  });

  test('does not come back where Connection names what is set', async () => {
    const request = { ...edits, host: '', path: undefined };
    await onScene({ all: ruled({ targets: [target('orders', 1, { request })] }) }, async (scene) => {
      await get(scene, 'Connection: x-set\r\nx-set: theirs\r\n');
      assert.deepEqual(valuesOf(scene.one.requests[0]!, 'x-set'), ['ours']);
    });
  });
});

function namesOf(fields: Request['trailers']): readonly string[] {
  return fields.map(([name]) => name.toLowerCase());
}

describe('a rule that looks at a header', () => {
  const second = (name: string, value: string): RuleTable =>
    table(
      [rule(0, { targets: [target('orders-v2', 1)] }), rule(1, { targets: [target('orders', 1)] })],
      [entry(0, 'prefix ', { fields: [header(name, value)] }), entry(1, 'prefix ')],
    );

  test('does not see what Connection takes out: the endpoint does not either', async () => {
    await onScene({ all: second('x-user', '7') }, async (scene) => {
      await get(scene, 'x-user: 7\r\nConnection: X-User\r\n');
      assert.equal(scene.one.requests.length, 1);
      await get(scene, 'x-user: 7\r\nConnection: keep-alive\r\n');
      assert.equal(scene.two.requests.length, 1);
    });
  });

  test('does not believe what a client claims to have been forwarded', async () => {
    await onScene({ all: second('x-forwarded-for', '10.0.0.1') }, async (scene) => {
      await get(scene, 'X-Forwarded-For: 10.0.0.1\r\n');
      assert.equal(scene.one.requests.length, 1);
    });
  });

  test('believes it of a source that is trusted', async () => {
    const flags = { 'trust-forwarded-from': '127.0.0.0/8' };
    await onScene({ all: second('x-forwarded-for', '10.0.0.1'), flags }, async (scene) => {
      await get(scene, 'X-Forwarded-For: 10.0.0.1\r\n');
      assert.equal(scene.two.requests.length, 1);
    });
  });
});

describe('a token of a session', () => {
  const session: SessionPolicy = { by: 'cookie', name: 'place', path: '/', lifetimeS: 60, permanent: false };
  const targets = [target('orders', 1), target('orders-v2', 0)];
  const nowS = Math.floor(Date.now() / 1000);
  const token = (backend: string, endpoint: string, endS: number): string =>
    `Cookie: place=${[markOf(backend), markOf(endpoint), endS].map((one) => one.toString(36)).join('.')}\r\n`;

  /** Whether the reply begins a new one. */
  const isNew = async (scene: Scene, cookie: string): Promise<boolean> => {
    const reply = await get(scene, cookie);
    assert.equal(reply.status, 200);
    return valueOf(reply, 'set-cookie') !== undefined;
  };

  test('is good for its time, and a forged one for no longer than a session lasts', async () => {
    await onScene({ all: ruled({ session, targets }) }, async (scene) => {
      const { address } = scene.one;
      assert.equal(await isNew(scene, token(ORDERS, address, nowS + 50)), false);
      assert.equal(await isNew(scene, token(ORDERS, address, nowS + 86_400)), true);
      assert.equal(await isNew(scene, token(ORDERS, address, nowS - 1)), true);
      assert.equal(await isNew(scene, token(ORDERS, address, 0)), true);
    });
  });

  test('leads to no endpoint of another backend, and to no target of weight 0', async () => {
    await onScene({ all: ruled({ session, targets }) }, async (scene) => {
      assert.equal(await isNew(scene, token(ORDERS, scene.two.address, nowS + 50)), true);
      assert.equal(await isNew(scene, token('shop/orders-v2:80', scene.two.address, nowS + 50)), true);
      assert.equal(scene.two.requests.length, 0);
    });
  });

  test('is replaced when its endpoint cannot be reached, and the request goes to another', async () => {
    await onScene({ all: ruled({ session, targets }), orders: ['one', 'two'] }, async (scene) => {
      const { address } = scene.one;
      await scene.one.stop();
      assert.equal(await isNew(scene, token(ORDERS, address, nowS + 50)), true);
      assert.equal(scene.two.requests.length, 1);
    });
  });
});

describe('what the mesh answers by itself', () => {
  const redirect = { status: 302, scheme: 'https', host: 'a.example', port: 0, path: undefined } as const;

  test('is not followed by what a client sent behind a body that nobody read', async () => {
    await onScene({ all: ruled({ redirect, targets: [] }) }, async ({ mesh, one }) => {
      const client = await Client.connect(mesh.port);
      client.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 100\r\n\r\nGET /smuggled HTTP/1.1\r\n${HOST}\r\n`);
      const reply = await client.reply();
      assert.deepEqual([reply.status, valueOf(reply, 'connection')], [302, 'close']);
      await client.closed();
      assert.equal(client.rest, '');
      assert.equal(one.upstream.connections.length, 0);
    });
  });

  test('is followed by the next request where the body is whole', async () => {
    await onScene({ all: ruled({ redirect, targets: [] }) }, async ({ mesh }) => {
      const client = await Client.connect(mesh.port);
      client.send(`HEAD / HTTP/1.1\r\n${HOST}\r\nGET /b HTTP/1.1\r\n${HOST}\r\n`);
      assert.equal((await client.reply({ method: 'HEAD' })).status, 302);
      assert.equal(valueOf(await client.reply(), 'location'), 'https://a.example/b');
      client.destroy();
    });
  });

  test('closes the connection of a client that waits for leave to send its body', async () => {
    await onScene({ all: ruled({ redirect, targets: [] }) }, async ({ mesh }) => {
      const client = await Client.connect(mesh.port);
      client.send(`POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`);
      const reply = await client.reply();
      assert.deepEqual([reply.status, reply.informational.length], [302, 0]);
      await client.closed();
    });
  });
});

describe('an exchange with rules', () => {
  const edits = { drop: ['x-set'], lines: [['x-set', 'ours']], host: '', path: undefined } as const;

  test('that is tried again is edited once, and copied once', async () => {
    const path = { replace: 'path', prefix: undefined, by: '/copy' } as const;
    const backend = 'shop/orders-v2:80' as BackendId;
    const mirror = { field: '', name: '', backend, reason: '', share: 1, request: { ...edits, path } };
    const all = ruled({ targets: [target('orders', 1, { request: edits })], mirrors: [mirror] });
    let broken = 0;
    const respond: Respond = (request, connection) => {
      if (request.target === '/' && broken++ === 0) connection.socket.resetAndDestroy();
      else connection.send(okReply(request));
    };
    await onScene({ all, orders: ['one', 'two'], respond }, async (scene) => {
      assert.equal((await get(scene, 'x-set: theirs\r\n')).status, 200);
      await atRest(scene);
      const requests = [...scene.one.requests, ...scene.two.requests];
      assert.deepEqual(requests.map((request) => request.target).toSorted(), ['/', '/', '/copy']);
      for (const request of requests) assert.deepEqual(valuesOf(request, 'x-set'), ['ours']);
    });
  });

  test('leaves nothing of its decision to the next one of its connection', async () => {
    const all = ruled({ response: edits, targets: [target('orders', 1, { response: edits })] });
    await onScene({ all, policy: { explainOnHeader: true } }, async ({ mesh }) => {
      const client = await Client.connect(mesh.port);
      const ask = 'x-heddle-explain: 1\r\n';
      client.send(`GET / HTTP/1.1\r\n${HOST}${ask}\r\n`);
      const first = await client.reply();
      assert.deepEqual([valueOf(first, 'x-set'), valueOf(first, 'x-heddle-explain') === undefined], ['ours', false]);
      client.send(`GET / HTTP/1.1\r\nHost: orders-v2.shop\r\n${ask}\r\nGET / HTTP/1.1\r\n${ask}bad line\r\n\r\n`);
      for (const status of [200, 400]) {
        const reply = await client.reply();
        assert.equal(reply.status, status);
        assert.deepEqual([valueOf(reply, 'x-set'), valueOf(reply, 'x-heddle-explain')], [undefined, undefined]);
      }
      client.destroy();
    });
  });

  test('that no rule fits is explained where the owner lets it be, with nothing of what the client said', async () => {
    const all = table([rule(0)], [entry(0, 'exact /only')]);
    await onScene({ all, policy: { explainOnHeader: true } }, async (scene) => {
      const reply = await get(scene, 'x-heddle-explain: 1; target=mine\r\n', '/;target=mine');
      assertFailure(reply, 'no-rule');
      assert.equal(valueOf(reply, 'x-heddle-explain'), 'service=shop/orders:80; rule=none; failure=no-rule');
    });
  });

  test('that becomes a tunnel is not throttled', async () => {
    const respond: Respond = (_, { socket }) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
      socket.write('y'.repeat(5000));
    };
    const faults = [{ type: 'throttle', bytesPerS: 10, share: 1 }] as const;
    await onScene({ all: ruled({}), policy: { faults }, respond }, async (scene) => {
      const client = await Client.connect(scene.mesh.port);
      client.send(`GET / HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: x\r\n\r\n`);
      assert.equal((await client.head()).status, 101);
      await client.take('y'.repeat(5000));
      client.destroy();
      await atRest(scene);
    });
  });
});

describe('a storm of clients that do all of it', () => {
  test('leaves no exchange, no copy and no connection under way', async () => {
    const faults = [
      { type: 'delay', leastMs: 0, mostMs: 40, share: 0.5 },
      { type: 'abort', status: 418, share: 0.1 },
      { type: 'throttle', bytesPerS: 100_000, share: 0.5 },
    ] as const;
    const session: SessionPolicy = { by: 'cookie', name: 'place', path: '/', lifetimeS: undefined, permanent: false };
    const mirror = { field: '', name: '', backend: ORDERS, reason: '', share: 0.5, request: undefined };
    const targets = [target('orders', 1), target('orders-v2', 1)];
    const all = ruled({ session, targets, mirrors: [mirror, mirror] });
    const respond: Respond = (request, connection, index) => {
      if (index % 7 === 6) connection.socket.resetAndDestroy();
      else setTimeout(() => connection.send(okReply(request, 'x'.repeat(3000))), (index % 5) * 10);
    };
    const flags = { 'limit-mirrors': '3' };
    await onScene({ all, policy: { faults }, orders: ['one', 'two'], respond, flags }, async (scene) => {
      const { mesh, configuration } = scene;
      const requests = [
        `GET / HTTP/1.1\r\n${HOST}\r\n`,
        `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`,
        `POST / HTTP/1.1\r\n${HOST}Content-Length: 50\r\n\r\nhello`,
        `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
        `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nX`,
        `GET / HTTP/1.1\r\n${HOST}\r\n`.repeat(4),
        `GET / HTTP/1.1\r\n${HOST}Connection: upgrade\r\nUpgrade: x\r\n\r\n`,
      ];
      const player = async (seed: number): Promise<void> => {
        for (let turn = 0; turn < 12; turn++) {
          const client = await Client.connect(mesh.port);
          client.send(requests[(seed + turn) % requests.length]!);
          await sleep((seed * 13 + turn * 29) % 60);
          if (turn % 3 === 0) client.reset();
          else if (turn % 3 === 1) client.end();
          await client.quiet(30);
          client.destroy();
        }
      };
      const players = Promise.all(Array.from({ length: 24 }, (_, seed) => player(seed)));
      const changes = [
        { all, policy: { faults }, orders: ['one'] },
        { all: undefined },
        { all: undefined, alone: true },
        { all, policy: { faults }, orders: ['one', 'two'] },
      ] as const;
      for (let turn = 0; turn < 8; turn++) {
        await mesh.publish(configuration(changes[turn % changes.length]));
        await sleep(60);
      }
      await players;
      await atRest(scene);
      // Counts that fell below nothing would not come up again.
      await mesh.publish(
        configuration({
          all: undefined,
          policy: { faults: [{ ...faults[0], leastMs: 5000, mostMs: 5000, share: 1 }] },
        }),
      );
      const clients = await Promise.all(Array.from({ length: 3 }, async () => Client.connect(mesh.port)));
      for (const client of clients) client.send(requests[0]!);
      await eventually(() => mesh.totals(ORDERS).active === 3, { what: 'three exchanges', ...WAIT });
      for (const client of clients) client.reset();
      await atRest(scene);
    });
  });
});
