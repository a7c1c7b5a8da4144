import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect as connectSocket, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test, type TestContext } from 'node:test';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { Broker, type BrokerOptions } from '../harness/broker.ts';
import { eventually, sleep } from '../harness/client.ts';

// The harness itself: a broker that only seems to do what it is told makes the tests of the bridge worthless.

async function brokerFor(t: TestContext, options: BrokerOptions = {}): Promise<Broker> {
  const broker = await Broker.start(options);
  t.after(() => broker.stop());
  return broker;
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What the connection tells of itself from now on. */
function collectStatus(connection: NatsConnection): readonly string[] {
  const seen: string[] = [];
  const collect = async (): Promise<void> => {
    for await (const { type } of connection.status()) seen.push(type);
  };
  // Ends with the connection.
  void collect();
  return seen;
}

test('the current version has JetStream, on disk', async (t) => {
  const broker = await brokerFor(t, { jetstream: true });
  const connection = await broker.connect();
  assert.match(connection.info?.version ?? '', /^2\.15\./);
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  const ack = await jetstream(connection).publish('orders.new', 'one');
  assert.deepEqual({ stream: ack.stream, seq: ack.seq }, { stream: 'ORDERS', seq: 1 });
  assert.equal((await manager.streams.info('ORDERS')).config.storage, 'file');
});

test('the old version is 2.9, with JetStream and without the API level of later ones', async (t) => {
  const broker = await brokerFor(t, { version: 'old', jetstream: true });
  const connection = await broker.connect();
  assert.match(connection.info?.version ?? '', /^2\.9\./);
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  assert.equal((await jetstream(connection).publish('orders.new', 'one')).seq, 1);
  assert.equal((await manager.getAccountInfo()).api.level ?? 0, 0);
});

test('without JetStream there is none', async (t) => {
  const broker = await brokerFor(t);
  const connection = await broker.connect();
  assert.equal(connection.info?.jetstream ?? false, false);
});

test('what it acknowledged is there after kill -9, on the same port', async (t) => {
  const broker = await brokerFor(t, { jetstream: true });
  const manager = await jetstreamManager(await broker.connect());
  await manager.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  const { port, pid } = broker;
  for (let round = 1; round <= 3; round++) {
    const { seq } = await jetstream(await broker.connect()).publish('orders.new', 'x');
    assert.equal(seq, round);
    await broker.kill();
    assert.equal(broker.running, false);
    await broker.restart();
  }
  assert.equal(broker.port, port);
  assert.notEqual(broker.pid, pid);
});

test('a client comes back by itself when the broker does', async (t) => {
  const broker = await brokerFor(t);
  const connection = await broker.connect();
  const seen = collectStatus(connection);
  await broker.kill();
  await eventually(() => seen.includes('disconnect'));
  await broker.restart();
  await eventually(() => seen.includes('reconnect'));
  await connection.flush();
});

test('it waits for a port that somebody has meanwhile', async (t) => {
  const broker = await brokerFor(t);
  const { port } = broker;
  await broker.kill();
  const squatter = createServer().listen(port, '127.0.0.1');
  await once(squatter, 'listening');
  const restarted = broker.restart();
  await eventually(() => broker.log().includes('address already in use'));
  squatter.close();
  await restarted;
  assert.equal(broker.port, port);
  await (await broker.connect()).flush();
});

test('a running server is restarted with its store', async (t) => {
  const broker = await brokerFor(t, { jetstream: true });
  const before = await jetstreamManager(await broker.connect());
  await before.streams.add({ name: 'ORDERS', subjects: ['orders.>'] });
  await broker.freeze();
  await broker.restart();
  const after = await jetstreamManager(await broker.connect());
  assert.equal((await after.streams.info('ORDERS')).config.name, 'ORDERS');
});

test('the trace shows a subject that was smuggled in, also where the server refused it', async (t) => {
  const broker = await brokerFor(t, {
    trace: true,
    config: 'authorization { users: [{ user: a, password: a, permissions: { publish: "good" } }] }',
  });
  const socket = connectSocket(broker.port, '127.0.0.1');
  t.after(() => void socket.destroy());
  let received = '';
  socket.on('data', (bytes: Buffer) => (received += bytes.toString('latin1')));
  // The subject of a careless client, with a line break in it, and a payload that looks like a line of the trace.
  const payload = '<<- [PUB lie 0]\n[1] [TRC] 127.0.0.1:1 - cid:1 - <<- [PUB lie 0]';
  const forged = `good 0\r\n\r\nPUB forged.subject`;
  socket.write(
    `CONNECT {"verbose":false,"user":"a","pass":"a"}\r\nPUB ${forged} ${payload.length}\r\n${payload}\r\nPING\r\n`,
  );
  await eventually(() => received.includes('PONG'));
  assert.match(received, /Permissions Violation for Publish to "forged.subject"/);
  const published = broker.operations().filter(({ line }) => line.startsWith('PUB'));
  assert.deepEqual(
    published.map(({ line }) => line),
    ['PUB good 0', `PUB forged.subject ${payload.length}`],
  );
  assert.equal(new Set(published.map(({ client }) => client)).size, 1);
});

test('the trace tells the operations of the official client, headers too', async (t) => {
  for (const version of ['current', 'old'] as const) {
    const broker = await brokerFor(t, { version, trace: true });
    const connection = await broker.connect({ name: 'one [<<-] - "two"' });
    connection.subscribe('orders.*', { queue: 'q' });
    connection.publish('orders.new', 'x', { reply: 'answers' });
    await connection.flush();
    const lines = broker.operations().map(({ line }) => line);
    assert.ok(lines.includes('SUB orders.* q 1'), `Expected the subscription, got ${lines.join('; ')}`);
    assert.ok(lines.includes('PUB orders.new answers 1'), `Expected the message, got ${lines.join('; ')}`);
  }
});

test('frozen, it answers nothing and keeps its connections; thawed, it goes on', async (t) => {
  const broker = await brokerFor(t);
  const connection = await broker.connect();
  await broker.freeze();
  let flushed = false;
  const flush = connection.flush().then(() => (flushed = true));
  await sleep(300);
  assert.equal(flushed, false);
  broker.thaw();
  await flush;
});

test('it tells clients of lame duck mode', async (t) => {
  const broker = await brokerFor(t, { jetstream: true });
  const connection = await broker.connect();
  const seen = collectStatus(connection);
  await broker.signal('ldm');
  await eventually(() => seen.includes('ldm'));
  await connection.close();
  await eventually(() => !broker.running);
  await broker.restart();
  await broker.connect();
});

test('another configuration is taken by a running server, and a wrong one is refused with its words', async (t) => {
  const user = (name: string): string => `authorization { user: ${name}, password: secret }`;
  const broker = await brokerFor(t, { config: user('ada') });
  const as = (name: string): Promise<unknown> => broker.connect({ user: name, pass: 'secret', reconnect: false });
  await as('ada');
  await broker.reconfigure(user('bob'));
  await as('bob');
  await assert.rejects(as('ada'), /Authorization Violation/i);
  await assert.rejects(broker.reconfigure('no_such_option: 1'), /Expected it to obey reload, got Failed to reload/);
});

test('a configuration that it does not take says so at the start', async () => {
  await assert.rejects(
    Broker.start({ config: 'no_such_option: 1' }),
    /Expected the broker to listen, got .*no_such_option/s,
  );
});

test('nothing is left of it', async (t) => {
  const folder = temporaryFolder(t);
  const before = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
  });
  const broker = await Broker.start({ jetstream: true });
  const { pid } = broker;
  assert.equal(readdirSync(folder).length, 1);
  await broker.connect();
  await broker.freeze();
  await broker.stop();
  assert.deepEqual(readdirSync(folder), []);
  assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('it does not outlive a test that is killed', { skip: process.platform !== 'linux' }, async (t) => {
  const program = `
    import { Broker } from '${import.meta.resolve('../harness/broker.ts')}';
    console.log((await Broker.start()).pid);
    setInterval(() => {}, 1000);`;
  const dying = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: temporaryFolder(t) },
  });
  t.after(() => dying.kill('SIGKILL'));
  const signal = AbortSignal.timeout(30_000);
  const [line] = (await once(createInterface({ input: dying.stdout }), 'line', { signal })) as [string];
  process.kill(Number(line), 0);
  dying.kill('SIGKILL');
  await eventually(() => !existsSync(`/proc/${line}`), { what: 'the broker to end' });
});
