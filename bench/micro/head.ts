import {
  DROP_FROM_REQUEST,
  Edits,
  feedHead,
  Head,
  outbox,
  startReply,
  startRequest,
  type Wire,
  writeRequest,
} from '../../src/proxy/http.ts';
import { table } from '../load/report.ts';
import { spread } from '../load/results.ts';
import { sample } from './sample.ts';

/**
 * Nanoseconds for one message head in the HTTP/1.1 codec: parse it, write it anew for the next hop. For work on the codec
 * itself: compare two runs on one machine. `bench/load` says what a whole request costs.
 */
const SAMPLES = 9;
const SAMPLE_MS = 150;
const LIMITS = { head: 32_768, headers: 100, url: 16_384 };
const FIELDS_MAX = 100;

/** Stands for a connection that takes everything at once: the write itself is the kernel's cost, not the encoder's. */
const nowhere = { send: () => false } as unknown as Wire;

const REQUESTS = {
  'request, load tool': lines('GET /1k HTTP/1.1', 'Host: web.bench'),
  'request, service call': lines(
    'POST /orders/7f3a/items?expand=price HTTP/1.1',
    'Host: orders.shop:8080',
    'Content-Type: application/json',
    'Content-Length: 412',
    'Accept: application/json',
    'Accept-Encoding: gzip, deflate',
    'User-Agent: orders-client/2.14.0',
    'Connection: keep-alive',
    'Authorization: Bearer 0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz',
    'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  ),
  'request, browser': lines(
    'GET /shop/products/list?category=books&sort=price&page=3 HTTP/1.1',
    'Host: www.shop.example',
    'Connection: keep-alive',
    'Cache-Control: max-age=0',
    'Upgrade-Insecure-Requests: 1',
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36',
    'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'Sec-Fetch-Site: same-origin',
    'Sec-Fetch-Mode: navigate',
    'Sec-Fetch-Dest: document',
    'Referer: http://www.shop.example/shop/products/list?category=books&sort=price&page=2',
    'Accept-Encoding: gzip, deflate, br, zstd',
    'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
    'Cookie: session=0123456789abcdef0123456789abcdef; consent=yes; basket=3f2a91; theme=dark; currency=EUR',
    'If-None-Match: "68b1c3f2-4d1"',
  ),
};

const REPLIES = {
  'reply, upstream of the load bench': lines(
    'HTTP/1.1 200 OK',
    'Server: nginx',
    'Date: Sat, 21 Nov 2026 14:00:00 GMT',
    'Content-Type: text/plain',
    'Content-Length: 1024',
    'Connection: keep-alive',
  ),
};

function main(): void {
  const rows: string[][] = [['head', 'bytes', 'fields', 'parse ns', '(min..max)', 'write ns', '(min..max)']];
  for (const [name, bytes] of Object.entries(REQUESTS)) {
    const head = new Head(FIELDS_MAX, 2048);
    const parse = measure(() => parseOne(head, startRequest, bytes));
    const edits = new Edits(DROP_FROM_REQUEST);
    edits.pathStart = head.pathStart;
    const write = measure(() => {
      writeRequest(nowhere, head, edits);
      outbox.flush();
    });
    rows.push([name, String(bytes.length), String(head.count), ...parse, ...write]);
  }
  for (const [name, bytes] of Object.entries(REPLIES)) {
    const head = new Head(FIELDS_MAX, 2048);
    const parse = measure(() => parseOne(head, startReply, bytes));
    rows.push([name, String(bytes.length), String(head.count), ...parse]);
  }
  process.stdout.write(`${table(rows)}\n`);
}

function parseOne(head: Head, start: (head: Head) => void, bytes: Buffer): void {
  head.reset();
  start(head);
  if (feedHead(head, bytes, 0, bytes.length, LIMITS) !== bytes.length)
    throw new Error(`Expected a whole head, got ${head.detail}`);
}

/** Median and range in nanoseconds per call; the first sample is warm-up. */
function measure(step: () => void): [string, string] {
  const samples = Array.from({ length: SAMPLES + 1 }, () => sample(step, SAMPLE_MS)).slice(1);
  const { median, min, max } = spread(samples);
  return [median.toFixed(0), `${min.toFixed(0)}..${max.toFixed(0)}`];
}

function lines(...text: string[]): Buffer {
  return Buffer.from(`${text.join('\r\n')}\r\n\r\n`, 'latin1');
}

main();
