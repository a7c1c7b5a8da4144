import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
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
