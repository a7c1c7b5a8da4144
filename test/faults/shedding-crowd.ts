import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

// The program behind Crowd: clients that never wait, and the endpoint that they ask, in a process of its own and as cheap as can
// be, so that the mesh between them has the most to do.

/** What it is told; it answers each with `done`. */
export type Order =
  | { readonly type: 'connect'; readonly port: number; readonly connections: number; readonly text: string }
  /** Every second connection asks again as soon as it has its answer: connections go to two workers in turn. */
  | { readonly type: 'press' }
  | { readonly type: 'leave' };

/** Of the connections that ask, one in so many uploads, and one in so many asks for what fails and is tried again. */
const UPLOADS = 4;
const FAILURES = 8;
const RECONNECT_MS = 250;
const BODY = 'x'.repeat(1024);
const OK = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
const FAILED = Buffer.from('HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno');
/** What begins with it is a reply, the rest of one is not. */
const REPLY = 'H'.charCodeAt(0);

/** Requests are small, so that a piece with the end of a head is one of them. */
const endpoint = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    if (bytes.includes('\r\n\r\n')) socket.write(bytes.includes(' /fails ') ? FAILED : OK);
  });
});
const sockets = new Map<number, Socket>();
let stage: 'quiet' | 'pressing' | 'over' = 'quiet';
/** Of a field that is costly to match. */
let text = '';

async function join(index: number, port: number): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  sockets.set(index, socket);
  socket.on('error', () => {});
  socket.on('close', () => {
    if (stage !== 'over') setTimeout(() => void join(index, port), RECONNECT_MS);
  });
  const request = requestOf(index);
  socket.on('data', (bytes) => {
    if (bytes[0] === REPLY) socket.write(request);
  });
  socket.on('connect', () => {
    if (stage === 'pressing' && isBusy(index)) socket.write(request);
  });
  await once(socket, 'connect').catch(() => {});
}

function isBusy(index: number): boolean {
  return index % 2 === 0;
}

function requestOf(index: number): Buffer {
  const number = index / 2;
  const fields = `X-Text: ${text}\r\n`;
  if (number % UPLOADS === 0)
    return Buffer.from(`POST / HTTP/1.1\r\nHost: crowd.shop\r\n${fields}Content-Length: ${BODY.length}\r\n\r\n${BODY}`);
  if (number % FAILURES === 1) return Buffer.from(`GET /fails HTTP/1.1\r\nHost: flaky.shop\r\n${fields}\r\n`);
  return Buffer.from(`GET / HTTP/1.1\r\nHost: crowd.shop\r\n${fields}\r\n`);
}

async function obey(order: Order): Promise<void> {
  if (order.type === 'connect') {
    text = order.text;
    // One after the other, so that the workers get them in turn.
    for (let index = 0; index < order.connections; index++) await join(index, order.port);
  } else if (order.type === 'press') {
    stage = 'pressing';
    for (const [index, socket] of sockets) if (isBusy(index)) socket.write(requestOf(index));
  } else {
    stage = 'over';
    for (const socket of sockets.values()) socket.destroy();
  }
  process.send?.('done');
}

endpoint.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.send?.((endpoint.address() as AddressInfo).port);
});
process.on('message', (order: Order) => void obey(order));
// Whoever started it is gone.
process.on('disconnect', () => process.exit());
