import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Call, CallReply } from '../load.ts';

// node call.ts CALL: one request, and its reply as JSON on standard output. Without a reply it fails.

const CALL_MS = 20_000;

const { url, host, proxy, method = 'GET', headers = {}, body = '' } = JSON.parse(process.argv[2]!) as Call;
const to = new URL(url);
const via = new URL(proxy ?? url);
request(
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
  (reply) => {
    void text(reply).then((received) => {
      const seen: CallReply = { status: reply.statusCode!, headers: reply.headers, body: received };
      process.stdout.write(JSON.stringify(seen));
    });
  },
)
  .on('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  })
  .end(body);
