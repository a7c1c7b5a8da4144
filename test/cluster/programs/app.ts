import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Mood } from '../app.ts';
import type { Receipt } from '../messages.ts';

// The application of the scenarios: says who answered. PORT, VERSION, READY (no: unready until POST /ready), and LINGER_MS: how long
// it goes on serving after SIGTERM, as a preStop sleep does, because clients hear of its end later than it does. POST /failing,
// /silent and /well say what becomes of all that is no command: ready is what the kubelet asks, and it stays so. It takes messages
// at POST /messages, each in a moment of its own, so that some are under way whatever happens, and prints them (`Receipt`).

const MESSAGE_MS = 50;

const pod = process.env['HOSTNAME'] ?? '';
const node = process.env['NODE_NAME'] ?? '';
const version = process.env['VERSION'] ?? '1';
const lingerMs = Number(process.env['LINGER_MS'] ?? 3000);
let ready = process.env['READY'] !== 'no';
let mood: Mood = 'well';

const server = createServer((request, reply) => {
  const url = new URL(request.url ?? '/', 'http://app');
  if (request.method === 'POST' && url.pathname === '/messages') {
    void receive(request, reply);
    return;
  }
  request.resume();
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /ready':
      answer(request, reply, ready ? 200 : 503);
      break;
    case 'POST /ready':
    case 'POST /unready':
      ready = url.pathname === '/ready';
      answer(request, reply, 200);
      break;
    case 'POST /failing':
    case 'POST /silent':
    case 'POST /well':
      mood = url.pathname.slice(1) as Mood;
      answer(request, reply, 200);
      break;
    case 'POST /exit':
      process.exit(1);
    default:
      if (mood === 'silent') break;
      // `?delay-ms=` of thinking.
      setTimeout(
        () => answer(request, reply, mood === 'failing' ? 500 : 200),
        Number(url.searchParams.get('delay-ms') ?? 0),
      );
  }
});
server.listen(Number(process.env['PORT'] ?? 8080), '::');

process.once('SIGTERM', () => {
  setTimeout(() => {
    server.close(() => process.exit(0));
    server.closeIdleConnections();
  }, lingerMs);
});

function answer({ method, url, headers }: IncomingMessage, reply: ServerResponse, status: number): void {
  reply.writeHead(status, { 'content-type': 'application/json', 'x-pod': pod, 'x-node': node, 'x-version': version });
  reply.end(JSON.stringify({ pod, node, version, ready, method, path: url, headers }));
}

async function receive(request: IncomingMessage, reply: ServerResponse): Promise<void> {
  const body = await text(request);
  const header = (name: string): string => String(request.headers[name] ?? '');
  const receipt: Receipt = {
    body,
    subject: header('nats-subject'),
    attempt: Number(header('heddle-attempt')),
    source: header('heddle-source'),
    from: request.socket.remoteAddress?.replace('::ffff:', '') ?? '',
  };
  setTimeout(() => {
    process.stdout.write(`${JSON.stringify(receipt)}\n`);
    answer(request, reply, 200);
  }, MESSAGE_MS);
}
