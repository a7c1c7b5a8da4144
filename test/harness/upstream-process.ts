import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

// The program behind ProcessUpstream: `/length` and `/chunked` are bodies that go on until it dies, all else is `ok`.

const PIECE = 'x'.repeat(4096);
const PIECE_MS = 5;
const LENGTH = 2 ** 40;

const server = createServer((request, response) => {
  request.resume();
  const endless = request.url?.startsWith('/length') === true || request.url?.startsWith('/chunked') === true;
  if (!endless) {
    response.setHeader('content-length', 2);
    response.end('ok');
    return;
  }
  if (request.url?.startsWith('/length') === true) response.setHeader('content-length', LENGTH);
  const timer = setInterval(() => response.write(PIECE), PIECE_MS);
  response.on('close', () => clearInterval(timer));
});
server.keepAliveTimeout = 60_000;
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.send?.((server.address() as AddressInfo).port);
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit());
