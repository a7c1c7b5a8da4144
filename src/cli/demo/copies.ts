import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Copy, Manner } from './shop.ts';

/** Starts a copy on a free port of loopback. Returns the port. */
export async function startCopy(copy: Copy): Promise<number> {
  const server = createServer(MANNERS[copy.manner](copy));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const SLOW_ONE_IN = 4;
const SLOW_MS = 250;
/** On one connection; the requests before are answered, so that the copy looks healthy until it cuts. */
const CUT_AT_REQUEST = 3;

const MANNERS: Readonly<Record<Manner, (copy: Copy) => RequestListener>> = {
  well: (copy) => (request, response) => {
    answerWithin(3, copy, request, response);
  },
  slow: (copy) => {
    let count = 0;
    return (request, response) => {
      answerWithin(count++ % SLOW_ONE_IN === SLOW_ONE_IN - 1 ? SLOW_MS : 8, copy, request, response);
    };
  },
  cutting: (copy) => {
    const counts = new WeakMap<Socket, number>();
    return (request, response) => {
      const count = (counts.get(request.socket) ?? 0) + 1;
      counts.set(request.socket, count);
      if (count >= CUT_AT_REQUEST) request.socket.resetAndDestroy();
      else answerWithin(3, copy, request, response);
    };
  },
};

/** After a time that is never quite the same, as with real work. */
function answerWithin(mostMs: number, copy: Copy, request: IncomingMessage, response: ServerResponse): void {
  const { service, version } = copy;
  request.resume();
  setTimeout(
    () => {
      const port = request.socket.localPort;
      response.setHeader('content-type', 'application/json');
      response.end(`${JSON.stringify({ service, version, copy: port, method: request.method, path: request.url })}\n`);
    },
    mostMs * (0.5 + Math.random() / 2),
  );
}
