import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, mock, test, type TestContext } from 'node:test';
import { MessagePort, type Worker } from 'node:worker_threads';
import { openAcceptor } from '../../src/control/workers/acceptor.ts';
import { Handover, type Seat } from '../../src/control/workers/handover.ts';
import { Heartbeats } from '../../src/control/workers/heartbeats.ts';
import { canTransfer } from '../../src/control/workers/transfer.ts';
import { CELLS, Slots } from '../../src/lib/slots.ts';
import type { ListenerName, ToWorker } from '../../src/model/message.ts';
import { Client, eventually, sleep } from '../harness/client.ts';

const HELD_MAX = 1024;
const HELD_MS = 5000;

/** A worker as far as the acceptor knows it: it takes connections and does nothing with them. */
class Taker implements Seat {
  readonly index: number;
  ready = false;
  readonly taken: Socket[] = [];
  /** Where each came in. */
  readonly entrances: { readonly listener: ListenerName; readonly port: number }[] = [];
  /** Sockets get lost on their way. */
  loses = false;
  readonly thread: Worker;

  constructor(index: number, slots: Slots) {
    this.index = index;
    const postMessage = (message: ToWorker): void => {
      if (message.type !== 'connection') return;
      const { listener, port } = message;
      this.entrances.push({ listener, port });
      if (this.loses) {
        message.socket.destroy();
        return;
      }
      slots.increment(index, CELLS.received);
      this.taken.push(message.socket);
    };
    this.thread = { postMessage } as unknown as Worker;
  }
}

interface Scene {
  /** Of each listener. */
  readonly ports: Readonly<Record<ListenerName, number>>;
  readonly close: () => Promise<void>;
  readonly takers: readonly Taker[];
  readonly slots: Slots;
  readonly heartbeats: Heartbeats;
  readonly connect: (count: number, listener?: ListenerName) => Promise<readonly Client[]>;
}

async function open(context: TestContext, workers: number): Promise<Scene> {
  const slots = new Slots(Slots.allocate(workers));
  const heartbeats = new Heartbeats(slots, workers);
  for (let worker = 0; worker < workers; worker++) heartbeats.restart(worker, performance.now());
  const takers = Array.from({ length: workers }, (_, index) => new Taker(index, slots));
  const handover = new Handover(slots, takers, heartbeats);
  const listen = { host: '127.0.0.1', port: 0, exclusive: false };
  const mesh = await openAcceptor({ ...listen, listener: 'mesh' }, handover);
  const bridge = await openAcceptor({ ...listen, listener: 'bridge' }, handover);
  const ports = { mesh: mesh.port, bridge: bridge.port };
  const close = async (): Promise<void> => {
    await Promise.all([mesh.close(), bridge.close()]);
    handover.close();
  };
  const clients: Client[] = [];
  context.after(async () => {
    await close();
    for (const client of clients) client.destroy();
    for (const { taken } of takers) for (const socket of taken) socket.destroy();
  });
  return {
    ports,
    close,
    takers,
    slots,
    heartbeats,
    connect: async (count, listener = 'mesh') => {
      const some = await Promise.all(Array.from({ length: count }, async () => Client.connect(ports[listener])));
      clients.push(...some);
      return some;
    },
  };
}

/** From now on the heart of this worker beats. */
function beat(context: TestContext, slots: Slots, worker: number): void {
  const timer = setInterval(() => slots.increment(worker, CELLS.heartbeat), 20);
  context.after(() => clearInterval(timer));
}

describe('connections for which no worker is ready', { concurrency: 3 }, () => {
  test('wait, and go to the worker that comes', async (context) => {
    const { takers, slots, connect } = await open(context, 1);
    beat(context, slots, 0);
    await connect(20);
    await sleep(50);
    const [taker] = takers;
    assert.ok(taker !== undefined);
    assert.equal(taker.taken.length, 0);
    taker.ready = true;
    await eventually(() => taker.taken.length === 20, { what: 'the worker to get all 20' });
  });

  test(`are closed at once beyond ${HELD_MAX}, and the others after ${HELD_MS} ms`, async (context) => {
    const { connect } = await open(context, 1);
    const startMs = performance.now();
    const clients = await connect(HELD_MAX + 6);
    const closed = (): number => clients.filter(({ closing }) => closing !== undefined).length;
    await eventually(() => closed() === 6, { what: 'six to be closed' });
    await eventually(() => closed() === clients.length, { what: 'all to be closed', waitMs: 4 * HELD_MS });
    assert.ok(performance.now() - startMs >= HELD_MS);
  });

  test('are closed with the port', async (context) => {
    const { close, connect } = await open(context, 1);
    const clients = await connect(5);
    await sleep(50);
    await close();
    await eventually(() => clients.every(({ closing }) => closing !== undefined), { what: 'all to be closed' });
  });
});

describe('a worker whose heart does not beat', () => {
  test('gets no connection, if the supervisor has looked at it, however long nobody came', async (context) => {
    const { takers, slots, heartbeats, connect } = await open(context, 2);
    for (const taker of takers) taker.ready = true;
    // The supervisor looks at all of them; only the second one beats.
    for (let look = 0; look < 8; look++) {
      await sleep(50);
      slots.increment(1, CELLS.heartbeat);
      for (const { index } of takers) heartbeats.silentMs(index, performance.now());
    }
    beat(context, slots, 1);
    await connect(10);
    await eventually(() => takers[1]?.taken.length === 10, { what: 'the other worker to get all of them' });
    assert.equal(takers[0]?.taken.length, 0);
  });
});

describe('the silence of a worker', () => {
  const silentWorker = (): { readonly slots: Slots; readonly heartbeats: Heartbeats } => {
    const slots = new Slots(Slots.allocate(1));
    const heartbeats = new Heartbeats(slots, 1);
    heartbeats.restart(0, 1000);
    return { slots, heartbeats };
  };

  test('is not the time for which the whole process was paused', () => {
    const { slots, heartbeats } = silentWorker();
    slots.increment(0, CELLS.heartbeat);
    assert.equal(heartbeats.silentMs(0, 1100), 0);
    assert.ok(heartbeats.silentMs(0, 3_601_100) <= 200);
    assert.ok(heartbeats.silentMs(0, 3_601_200) <= 300);
    slots.increment(0, CELLS.heartbeat);
    assert.equal(heartbeats.silentMs(0, 3_601_300), 0);
  });

  test('grows for one that is stuck, also where the supervisor itself is always late', () => {
    const { heartbeats } = silentWorker();
    const silences = Array.from({ length: 20 }, (_, look) => heartbeats.silentMs(0, 1000 + 900 * (look + 1)));
    assert.deepEqual(
      silences,
      silences.map((_, look) => 200 * (look + 1)),
    );
  });
});

describe('two ports', () => {
  test('share the workers: each connection comes with the port that it came in on, and the spread is even', async (context) => {
    const { takers, slots, ports, connect } = await open(context, 2);
    for (const taker of takers) {
      taker.ready = true;
      beat(context, slots, taker.index);
    }
    await connect(10, 'mesh');
    await connect(10, 'bridge');
    await eventually(() => takers.every(({ taken }) => taken.length === 10), { what: 'ten for each worker' });
    const entrances = takers.flatMap((taker) => taker.entrances);
    for (const listener of ['mesh', 'bridge'] as const)
      assert.equal(entrances.filter((one) => one.listener === listener && one.port === ports[listener]).length, 10);
  });

  test('keep one account: what is on its way by one of them is not written off by the other', async (context) => {
    const { takers, slots, connect } = await open(context, 1);
    const [taker] = takers;
    assert.ok(taker !== undefined);
    taker.ready = true;
    for (let beats = 0; beats < 10; beats++) slots.increment(0, CELLS.heartbeat);
    // On its way, as far as anybody knows: it was handed over since the last beat.
    taker.loses = true;
    await connect(1, 'bridge');
    await eventually(() => taker.entrances.length === 1, { what: 'the worker to be sent one' });
    await connect(1, 'mesh');
    await eventually(() => taker.entrances.length === 2, { what: 'the worker to be sent another one' });
    assert.equal(slots.get(0, CELLS.lost), 0);
    // Some beats later it is sure that they got lost.
    for (let beats = 0; beats < 4; beats++) slots.increment(0, CELLS.heartbeat);
    await connect(1, 'mesh');
    await eventually(() => slots.get(0, CELLS.lost) === 2, { what: 'both to be written off' });
  });
});

describe('canTransfer', () => {
  test('says yes on this Node', async () => {
    assert.equal(await canTransfer(), true);
  });

  test('says no where a socket cannot be cloned', async () => {
    const refusal = mock.method(MessagePort.prototype, 'postMessage', () => {
      throw new DOMException('Cannot transfer object of unsupported type.', 'DataCloneError');
    });
    try {
      assert.equal(await canTransfer(), false);
    } finally {
      refusal.mock.restore();
    }
  });
});
