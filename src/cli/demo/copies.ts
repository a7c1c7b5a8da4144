import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Copy, Manner } from './shop.ts';

/** Starts a copy on a free port of loopback. Returns the port. @param tell says what it got, where it says so */
export async function startCopy(copy: Copy, tell: (line: string) => void): Promise<number> {
  const server = createServer(MANNERS[copy.manner](copy, tell));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const SLOW_ONE_IN = 4;
const SLOW_MS = 250;
/** On one connection; the requests before are answered, so that the copy looks healthy until it cuts. */
const CUT_AT_REQUEST = 3;

/** Of what is told: the rest only counts. */
const TOLD_BYTES_MAX = 160;
const TOLD_PER_SECOND_MAX = 4;

const MANNERS: Readonly<Record<Manner, (copy: Copy, tell: (line: string) => void) => RequestListener>> = {
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
  telling: (copy, tell) => {
    const tellSome = atMost(TOLD_PER_SECOND_MAX, tell);
    return (request, response) => {
      const start: Buffer[] = [];
      request.on('data', (bytes: Buffer) => {
        if (start.length === 0) start.push(bytes.subarray(0, TOLD_BYTES_MAX));
      });
      request.on('end', () => {
        const { 'nats-subject': subject, 'heddle-attempt': attempt = '1' } = request.headers;
        if (subject === undefined) return;
        const again = attempt === '1' ? '' : ` (attempt ${String(attempt)})`;
        tellSome(`${copy.service} got ${String(subject)}${again}: ${Buffer.concat(start).toString('utf8')}`);
      });
      answerWithin(3, copy, request, response);
    };
  },
};

/** Passes on so many lines a second, then how many there were beyond. */
function atMost(count: number, tell: (line: string) => void): (line: string) => void {
  let told = 0;
  return (line) => {
    if (told === 0) {
      setTimeout(() => {
        if (told > count) tell(`... and ${told - count} more`);
        told = 0;
      }, 1000);
    }
    told++;
    if (told <= count) tell(line);
  };
}

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
