import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Call, CallReply } from '../load.ts';

// node call.ts CALLS: one request after the other, and their replies as JSON on standard output. Without a reply it fails.

const CALL_MS = 20_000;

try {
  const replies: CallReply[] = [];
  for (const call of JSON.parse(process.argv[2]!) as readonly Call[]) replies.push(await reply(call));
  process.stdout.write(JSON.stringify(replies));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function reply({ url, host, proxy, method = 'GET', headers = {}, body = '' }: Call): Promise<CallReply> {
  const to = new URL(url);
  const via = new URL(proxy ?? url);
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        method,
        host: via.hostname,
        port: via.port || 80,
        path: proxy === undefined ? `${to.pathname}${to.search}` : url,
        headers: {
          host: host ?? to.host,
          ...(body === '' ? {} : { 'content-length': Buffer.byteLength(body) }),
          ...headers,
        },
        signal: AbortSignal.timeout(CALL_MS),
      },
      (received) => {
        text(received).then(
          (content) => resolve({ status: received.statusCode!, headers: received.headers, body: content }),
          reject,
        );
      },
    );
    asked.on('error', reject).end(body);
  });
}
