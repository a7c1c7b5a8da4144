import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { eventually } from '../harness/client.ts';
import { outbox, Wire, type WireOwner } from '../../src/proxy/http/wire.ts';

const BUFFER_BYTES = 64 * 1024;

/** Sends back what it gets. */
class Echo implements WireOwner {
  wire: Wire | undefined;
  readonly closed: Promise<void>;
  #onClosed!: () => void;

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#onClosed = resolve;
    });
  }

  onBytes(bytes: Buffer, start: number, end: number): void {
    assert.ok(this.wire);
    outbox.open(this.wire, end - start);
    outbox.copy(bytes, start, end);
  }

  onEof(): void {
    this.wire?.end();
  }

  onDrain(): void {}

  onClose(): void {
    this.#onClosed();
  }
}

/** What comes back of some bytes from a wire on the accepted socket; `spoil` changes the socket before. */
async function echoed(t: TestContext, sent: Buffer, spoil: (socket: net.Socket) => void): Promise<Buffer> {
  const owner = new Echo();
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    spoil(socket);
    owner.wire = Wire.adopt(socket, owner, BUFFER_BYTES);
  });
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  client.end(sent);
  const parts = await client.toArray();
  await owner.closed;
  return Buffer.concat(parts as Buffer[]);
}

const LARGE = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251));

test('bytes come from the read buffer that all wires share', async (t) => {
  assert.ok((await echoed(t, LARGE, () => {})).equals(LARGE));
});

test("a Node whose handles take no buffer of ours is read by 'data' events", async (t) => {
  const spoil = (socket: net.Socket): void => {
    const { _handle: handle } = socket as unknown as { _handle: object };
    Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
  };
  assert.ok((await echoed(t, LARGE, spoil)).equals(LARGE));
});

test('a reset in the turn of a FIN closes the socket too', async (t) => {
  const owner = new Echo();
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    const wire = Wire.adopt(socket, owner, BUFFER_BYTES);
    wire.end();
    wire.reset();
  });
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  client.resume();
  await once(client, 'close');
  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  // A handle that Node forgot would stay, and its thread could never end.
  await eventually(() => sockets() === 0, { what: 'no socket', waitMs: 2000 });
  await owner.closed;
});

/** More than one poll of libuv brings, 1,024. */
const BUSY_CLIENTS = 2500;
const BUSY_MS = 0.1;
const BUSY_EVENTS = 10_000;

/** What comes back takes a while of the processor. */
class SlowEcho extends Echo {
  static events = 0;

  override onBytes(bytes: Buffer, start: number, end: number): void {
    SlowEcho.events++;
    const endMs = performance.now() + BUSY_MS;
    while (performance.now() < endMs);
    super.onBytes(bytes, start, end);
  }
}

test('timers have their turn while more sockets are busy than one poll brings', async (t) => {
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    const owner = new SlowEcho();
    owner.wire = Wire.adopt(socket, owner, BUFFER_BYTES);
  });
  server.listen({ host: '127.0.0.1', port: 0, backlog: BUSY_CLIENTS });
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const clients = fork(join(import.meta.dirname, 'busy-clients.ts'), [String(port), String(BUSY_CLIENTS)], {
    execArgv: [],
  });
  let most = 0;
  let before = 0;
  const beat = setInterval(() => {
    most = Math.max(most, SlowEcho.events - before);
    before = SlowEcho.events;
  }, 20);
  t.after(() => {
    clearInterval(beat);
    server.close();
  });
  await eventually(() => SlowEcho.events > BUSY_EVENTS, { what: 'the clients to be busy', waitMs: 30_000 });
  clients.disconnect();
  await once(clients, 'exit');
  // Until the longest turn was over: without an end of it 48 polls, 49,152 events. With it what 250 ms are enough for, and one of each client.
  await eventually(() => before === SlowEcho.events, { what: 'a beat', waitMs: 10_000 });
  assert.ok(most <= BUSY_EVENTS, `Got ${most} events between two timers`);
});
