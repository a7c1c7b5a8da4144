import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client } from '../harness/client.ts';
import { finalReplies, methodsOf } from '../harness/judge.ts';
import { Lanes } from '../harness/lanes.ts';
import { quote, valueOf } from '../harness/message.ts';

// Bad request lines, hosts, fields and framing that the corpus does not have.

let lanes: Lanes;
before(async () => (lanes = await Lanes.start(32)));
after(async () => lanes.stop());

/** `AUTH` stands for the lane's authority. */
interface Refusal {
  readonly name: string;
  readonly text: string;
  /** Allowed statuses; 0: closed without a reply. */
  readonly status: readonly number[];
  /** A 2xx is allowed too, if what arrives upstream is this target. */
  readonly orTarget?: string;
}

const BAD = [400];
const VERSION = [400, 505];

function line(text: string, status: readonly number[] = BAD): Refusal {
  return { name: quote(text), text: `${text}\r\nHost: AUTH\r\n\r\n`, status };
}

function host(lines: string, status: readonly number[] = BAD): Refusal {
  return { name: quote(lines), text: `GET /x HTTP/1.1\r\n${lines}\r\n\r\n`, status };
}

function field(text: string, status: readonly number[] = BAD): Refusal {
  return { name: quote(text), text: `GET /x HTTP/1.1\r\nHost: AUTH\r\n${text}\r\n\r\n`, status };
}

function body(lines: string, content: string, status: readonly number[] = BAD): Refusal {
  return {
    name: quote(`${lines} ${content}`),
    text: `POST /x HTTP/1.1\r\nHost: AUTH\r\n${lines}\r\n\r\n${content}`,
    status,
  };
}

const REQUEST_LINES: readonly Refusal[] = [
  line('GET /a\0b HTTP/1.1'),
  line('GET /a\x01b HTTP/1.1'),
  line('GET /a\x7fb HTTP/1.1'),
  line('GET /a\rb HTTP/1.1'),
  line('GET /a\tb HTTP/1.1'),
  line('GET /a b HTTP/1.1'),
  line('GET  /a HTTP/1.1'),
  line('GET /a  HTTP/1.1'),
  line('GET\t/a\tHTTP/1.1'),
  line(' GET /a HTTP/1.1'),
  line('GET /a HTTP/1.1 '),
  line('GET /a HTTP/2.0', VERSION),
  line('GET /a HTTP/3.0', VERSION),
  line('GET /a HTTP/9.9', VERSION),
  line('GET /a HTTP/0.9', VERSION),
  line('GET /a HTTP/1.2', [400, 505, 200]),
  line('GET /a HTTP/1.10', VERSION),
  line('GET /a HTTP/01.1', VERSION),
  line('GET /a HTTP/1.1x', VERSION),
  line('GET /a HTTP/+1.1', VERSION),
  line('GET /a HTTP/1,1', VERSION),
  line('GET /a HTTP/1', VERSION),
  line('GET /a HTTP/', VERSION),
  line('GET /a http/1.1', VERSION),
  line('GET /a HTTPS/1.1', VERSION),
  line('GET /a ICY/1.1', VERSION),
  line('GET /a', [400, 505]),
  line('GET', [400]),
  line('GET /a HTTP/1.1\0', VERSION),
  line('G\0T /a HTTP/1.1', [400, 405, 501]),
  line('G(T /a HTTP/1.1', [400, 405, 501]),
  line('G\xc3\x89T /a HTTP/1.1', [400, 405, 501]),
  line(`${'M'.repeat(8192)} /a HTTP/1.1`, [400, 405, 414, 431, 501]),
  line(': /a HTTP/1.1', [400, 405, 501]),
  line(' /a HTTP/1.1', [400, 405, 501]),
  line('GET a HTTP/1.1'),
  line('GET host:80 HTTP/1.1'),
  line('GET @evil.test/x HTTP/1.1'),
  line('GET \\\\evil.test\\x HTTP/1.1'),
  line('GET ../x HTTP/1.1'),
  line('GET ?x HTTP/1.1'),
  line('GET * HTTP/1.1'),
  line('POST * HTTP/1.1'),
  line('GET \xe9 HTTP/1.1'),
  line('GET file:///etc/passwd HTTP/1.1'),
  line('GET ftp://AUTH/x HTTP/1.1'),
  line('GET http:///x HTTP/1.1'),
  line('GET http:AUTH/x HTTP/1.1'),
  line('GET http:/AUTH/x HTTP/1.1'),
  line('GET http://user@AUTH/x HTTP/1.1'),
  line('GET http://AUTH:x/x HTTP/1.1'),
  line('GET http://AUTH:99999/x HTTP/1.1', [400, 404]),
  line('GET javascript:alert(1) HTTP/1.1'),
  line('GET http://AUTH\\x HTTP/1.1'),
  line('GET http://AUTH@evil.test/x HTTP/1.1', [400, 404]),
  line('GET http://evil.test#AUTH/x HTTP/1.1', [400, 404]),
  line('GET http://[::1/x HTTP/1.1'),
  line('GET http://a,AUTH/x HTTP/1.1', [400, 404]),
  line('GET https://AUTH/x HTTP/1.1', [400, 404, 421]),
  line('TRACE /x HTTP/1.1', [405]),
  line('CONNECT /x HTTP/1.1'),
  line('CONNECT AUTH HTTP/1.1'),
  line('CONNECT AUTH: HTTP/1.1'),
  line('CONNECT AUTH:80/x HTTP/1.1'),
  line('CONNECT http://AUTH:80 HTTP/1.1'),
  line('CONNECT u@AUTH:80 HTTP/1.1'),
  line('CONNECT unknown.test:80 HTTP/1.1', [403]),
  line('CONNECT 127.0.0.1:22 HTTP/1.1', [403]),
  line('CONNECT AUTH:81 HTTP/1.1', [403]),
  line('CONNECT [::1]:80 HTTP/1.1', [403]),
  line('CONNECT 2130706433:80 HTTP/1.1', [403]),
  { name: 'a target of 70 KiB', text: `GET /${'a'.repeat(70 * 1024)} HTTP/1.1\r\nHost: AUTH\r\n\r\n`, status: [414] },
  {
    name: 'a target just over --limit-url',
    text: `GET /${'a'.repeat(16 * 1024)} HTTP/1.1\r\nHost: AUTH\r\n\r\n`,
    status: [414],
  },
  { name: 'HTTP/0.9', text: 'GET /x\r\n', status: [400, 505] },
  { name: 'the preface of HTTP/2', text: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', status: [505] },
  { name: 'a TLS hello', text: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', status: [400, 0] },
  { name: 'a SOCKS hello', text: '\x05\x01\x00', status: [400, 0] },
  {
    name: 'the PROXY protocol',
    text: 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET /x HTTP/1.1\r\nHost: AUTH\r\n\r\n',
    status: [400, 505],
  },
  { name: 'many empty lines', text: `${'\r\n'.repeat(2000)}GET /x HTTP/1.1\r\nHost: AUTH\r\n\r\n`, status: [400] },
  { ...line('GET /x#fragment HTTP/1.1'), orTarget: '/x' },
];

const HOSTS: readonly Refusal[] = [
  host('X-A: no host'),
  host('Host: AUTH\r\nHost: AUTH'),
  host('Host: AUTH\r\nX-A: 1\r\nhost: evil.test'),
  host('Host:'),
  host('Host: AUTH, AUTH'),
  host('Host: AUTH/x'),
  host('Host: u@AUTH'),
  host('Host: u:p@AUTH'),
  host('Host: AUTH evil.test'),
  host('Host: AUTH\0'),
  host('Host: AUTH:80:80'),
  host('Host: AUTH:8o'),
  host('Host: AUTH:-80'),
  host('Host: AUTH:+80'),
  host('Host: AUTH:0x50'),
  host('Host: AUTH:99999', [400, 404]),
  host('Host: AUTH:65536', [400, 404]),
  host('Host: AUTH:18446744073709551696', [400, 404]),
  host('Host: [::1', [400]),
  host('Host: ::1', [400]),
  host('Host: [::1]x'),
  host('Host: [zz]'),
  host('Host: [1.2.3.4]', [400, 404]),
  host('Host: AUTH?x'),
  host('Host: AUTH\\x'),
  host('Host: AUTH#x'),
  host('Host: http://AUTH'),
  host('Host: "AUTH"'),
  host('Host: <AUTH>'),
  host('Host: AUTH%00', [400, 404]),
  host('Host: \xe9.test', [400]),
  host('Host: AUTH\t:80'),
  host('Host: AUTH :80'),
  host('Host\t: AUTH'),
  host(' Host: AUTH'),
  host('Host: :80', [400]),
  host('Host: 127.1', [404]),
  host('Host: 0x7f000001', [404]),
  host('Host: localhost', [404]),
  host(`Host: ${'a'.repeat(300)}.test`, [400, 404]),
  host('Host: AUTH;x', [400, 404]),
  host('Host: [::1%25eth0]', [400, 404]),
  host('Host: %6c00.test', [400, 404]),
];

const FIELDS: readonly Refusal[] = [
  field('X-A\0: 1'),
  field('X-A: \0'),
  field('X-A: a\rb'),
  field('X-A: a\r'),
  field('\tX-A: 1'),
  field('X-A: 1\r\n\tfolded'),
  field('X-A 1'),
  field('X-A : 1'),
  field('X{A}: 1'),
  field('X/A: 1'),
  field('X@A: 1'),
  field('"X": 1'),
  field('X-\xe9: 1'),
  field('X-A: \x0b'),
  field('X-A: \x7f'),
  field('X-A: 1\n\nGET /smuggled HTTP/1.1'),
  field(`X-A: ${'v'.repeat(40 * 1024)}`, [431]),
  field(Array.from({ length: 101 }, (_, index) => `X-${index}: 1`).join('\r\n'), [431]),
  field(Array.from({ length: 1500 }, (_, index) => `X-${index}: 1`).join('\r\n'), [431]),
  field(`X-${'n'.repeat(40 * 1024)}: 1`, [431]),
  field(Array.from({ length: 40 }, (_, index) => `X-${index}: ${'w'.repeat(1000)}`).join('\r\n'), [431]),
  field('Expect: 100-continue, magic', [417, 400]),
  field('Expect: 200-ok', [417]),
];

const BODIES: readonly Refusal[] = [
  body('Content-Length: 1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
  body('Content-Length: 1,1,2', 'x'),
  body('Content-Length: ,1', 'x'),
  body('Content-Length: 1\x0b', 'x'),
  body('Content-Length: \xb2', 'xx'),
  body('Content-Length: 1e0', 'x'),
  body('Content-Length: 0b1', 'x'),
  body('Content-Length: ٥', 'hello'),
  body('Content-Length: 9007199254740992', 'x', [400, 413]),
  body('Content-Length: 99999999999999999999', 'x', [400, 413]),
  body('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', '0\r\n\r\n', [400, 501]),
  body('Transfer-Encoding:', '0\r\n\r\n', [400, 501]),
  body('Transfer-Encoding: chunked, ', '0\r\n\r\n', [400, 501, 200]),
  body('Transfer-Encoding: "chunked"', '0\r\n\r\n', [400, 501]),
  body('Transfer-Encoding: chun ked', '0\r\n\r\n', [400, 501]),
  body('Transfer-Encoding: deflate', 'x', [501]),
  body('Transfer-Encoding: gzip, chunked', '0\r\n\r\n', [501]),
  body('Transfer-Encoding: chunked; q=1', '0\r\n\r\n', [400, 501]),
  body('Transfer-Encoding: chunked', '00000000000000000000000000001\r\nx\r\n0\r\n\r\n', [400, 413, 200]),
  body('Transfer-Encoding: chunked', '20000000000000\r\nx', [400, 413]),
  body('Transfer-Encoding: chunked', `1;${'e'.repeat(5000)}\r\nx\r\n0\r\n\r\n`, [400]),
  body('Transfer-Encoding: chunked', '1;a\x01\r\nx\r\n0\r\n\r\n'),
  body(
    'Transfer-Encoding: chunked',
    `0\r\n${Array.from({ length: 20 }, (_, i) => `X-${i}: ${'t'.repeat(900)}\r\n`).join('')}\r\n`,
    [431],
  ),
  body(
    'Transfer-Encoding: chunked',
    `0\r\n${Array.from({ length: 200 }, (_, i) => `X-${i}: 1\r\n`).join('')}\r\n`,
    [431, 400],
  ),
  body('Transfer-Encoding: chunked', '0\r\nX A: 1\r\n\r\n'),
  body('Transfer-Encoding: chunked', '0\r\n X: 1\r\n\r\n'),
  body('Transfer-Encoding: chunked', '0\r\nX: \0\r\n\r\n'),
  body('Transfer-Encoding: chunked', '0\r\n\n'),
  body('Transfer-Encoding: chunked', '1\r\nx\n0\r\n\r\n'),
  body('Transfer-Encoding: chunked', '1\r\nxx0\r\n\r\n'),
  body('Transfer-Encoding: chunked', '\r\n1\r\nx\r\n0\r\n\r\n'),
  body('Transfer-Encoding: chunked', '１\r\nx\r\n0\r\n\r\n'),
];

for (const [what, refusals] of Object.entries({
  'request lines': REQUEST_LINES,
  'hosts': HOSTS,
  'fields': FIELDS,
  'bodies': BODIES,
})) {
  describe(`refused ${what}`, { concurrency: 32 }, () => {
    for (const refusal of refusals) {
      test(refusal.name, async () => check(refusal, (text) => [text]));
      if (refusal.text.length < 400)
        test(`${refusal.name} in pieces of 3`, async () => check(refusal, (text) => text.match(/[\s\S]{1,3}/g) ?? []));
    }
  });
}

async function check({ text, status, orTarget }: Refusal, cut: (text: string) => readonly string[]): Promise<void> {
  await lanes.use(async ({ authority, recorder }, mesh) => {
    const client = await Client.connect(mesh.port);
    const message = text.replaceAll('AUTH', authority);
    try {
      // Latin1 on the wire; what is outside of it goes as UTF-8.
      const octets = Buffer.from(message, /[\u0100-\uffff]/.test(message) ? 'utf8' : 'latin1').toString('latin1');
      await client.sendPieces(cut(octets), 1);
      // A second request follows: it must never be served once the first was refused.
      client.send(`GET /smuggled HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
      await client
        .until(() => client.received !== '' || client.closing !== undefined, { waitMs: 1500 })
        .catch(() => {});
      await client.quiet(60);
      const replies = finalReplies({
        received: client.received,
        methods: methodsOf(message),
        closed: client.closing === 'fin',
      });
      const [reply] = replies;
      const recordings = recorder.take();
      const requests = recordings.flatMap((recording) => recording.requests);
      assert.deepEqual(
        requests.flatMap(({ faults }) => faults),
        [],
      );
      if ((reply?.status ?? 0) >= 200 && (reply?.status ?? 0) < 300) {
        assert.ok(
          orTarget !== undefined || status.includes(reply?.status ?? 0),
          `Expected ${status.join(' or ')}, got ${reply?.line}`,
        );
        if (orTarget !== undefined) assert.equal(requests[0]?.target, orTarget);
        return;
      }
      const got = `${quote(client.received)} (${client.closing ?? 'open'})`;
      assert.ok(status.includes(reply?.status ?? 0), `Expected ${status.join(' or ')}, got ${got}`);
      assert.deepEqual(
        requests.filter(({ complete, target }) => complete && target !== '/smuggled'),
        [],
        'Refused, and yet complete upstream',
      );
      if (
        reply !== undefined &&
        reply.status !== 404 &&
        reply.status !== 403 &&
        reply.status !== 405 &&
        reply.status !== 417 &&
        reply.status !== 421
      ) {
        assert.equal(client.closing, 'fin', `Expected a close after ${reply.line}`);
        assert.deepEqual(
          requests.filter(({ target }) => target === '/smuggled'),
          [],
          'A request after a malformed one was served',
        );
      }
      if (reply !== undefined) assert.notEqual(valueOf(reply, 'x-heddle-failure'), undefined);
    } finally {
      client.destroy();
    }
  });
}
