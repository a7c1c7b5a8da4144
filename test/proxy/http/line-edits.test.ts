import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SeededDice } from '../../../src/lib/dice.ts';
import {
  DROP_FROM_REQUEST,
  Edits,
  feedHead,
  Head,
  LineEdits,
  outbox,
  startRequest,
  type Wire,
  writeRequest,
} from '../../../src/proxy/http.ts';
import { requestHead } from '../filter/heads.ts';

const LIMITS = { head: 1_048_576, headers: 200, url: 16_384 };

/** What goes on of a request with these edits, read anew. */
function sent(head: Head, edits: LineEdits): Head {
  const all = new Edits(DROP_FROM_REQUEST);
  all.pathStart = head.pathStart;
  all.add(edits);
  // Nothing is sent: the outbox only needs to tell one wire from another.
  const wire = {} as Wire;
  writeRequest(wire, head, all);
  const bytes = Buffer.from(outbox.bytes.subarray(0, outbox.at));
  outbox.drop(wire);
  const result = new Head(200, 2048);
  startRequest(result);
  assert.equal(feedHead(result, bytes, 0, bytes.length, LIMITS), bytes.length, `${result.detail}: ${bytes.toString()}`);
  return result;
}

function linesOf(head: Head): readonly string[] {
  return Array.from({ length: head.count }, (_, index) => `${head.nameAsSent(index)}: ${head.value(index)}`);
}

describe('edits of lines', () => {
  test('take out all lines of a name, in any case, and add theirs in order', () => {
    const head = requestHead('GET / HTTP/1.1', 'host: a', 'X-User: 1', 'accept: b', 'x-user: 2', 'x-users: 3');
    const edits = new LineEdits({
      drop: ['x-user'],
      lines: [
        ['x-user', '3'],
        ['x-more', ''],
        ['x-user', '4'],
      ],
    });
    assert.deepEqual(linesOf(sent(head, edits)), [
      'host: a',
      'accept: b',
      'x-users: 3',
      'x-user: 3',
      'x-more: ',
      'x-user: 4',
    ]);
  });

  test('take out names that the parser knows, alone and among others of their kind', () => {
    const head = requestHead('GET / HTTP/1.1', 'host: a', 'content-type: b', 'cookie: c=d', 'range: e');
    const edits = new LineEdits({ drop: ['content-type', 'cookie'], lines: [] });
    assert.deepEqual(linesOf(sent(head, edits)), ['host: a', 'range: e']);
  });

  const refused = [
    'connection',
    'Content-Length',
    'content_length',
    'expect',
    'host',
    'http2-settings',
    'keep-alive',
    'l5d-dst-override',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'via',
    'x-forwarded-client-cert',
    'x-forwarded-for',
    'x-heddle-source',
    'x-request-id',
  ];
  for (const name of refused) {
    test(`neither take out nor add ${name}`, () => {
      const edits = new LineEdits({ drop: [name], lines: [[name, 'x']] });
      assert.deepEqual([edits.kinds, edits.names, edits.lines.toString()], [0, [], '']);
    });
  }

  const malformed: readonly (readonly [string, string])[] = [
    ['', 'x'],
    ['x y', 'x'],
    ['x:', 'x'],
    ['x\r\nte', 'x'],
    ['x', 'a\r\ncontent-length: 3'],
    ['x', 'a\n'],
    ['x', '\0'],
    ['x', '\u{20ac}'],
    ['\u{17f}', 'x'],
  ];
  for (const [name, value] of malformed) {
    test(`do not add the malformed line ${JSON.stringify(`${name}: ${value}`)}`, () => {
      assert.equal(new LineEdits({ drop: [], lines: [[name, value]] }).lines.length, 0);
    });
  }

  test('leave framing, Host and hop-by-hop fields as they are, whatever they are given', () => {
    const dice = new SeededDice(5);
    const one = <T>(items: readonly T[]): T => items[Math.floor(dice.roll() * items.length)]!;
    const anyCase = (text: string) =>
      Array.from(text, (char) => (dice.roll() < 0.5 ? char.toUpperCase() : char)).join('');
    const names = [
      ...refused,
      'x-user',
      'cookie',
      'content-type',
      'x_user',
      'x\r\nte',
      ' te',
      'te ',
      '',
      '\u{212a}eep-alive',
    ];
    const values = ['', '0', 'chunked', 'close, x-user', 'a\r\nte: trailers', 'a\rb', ' x ', '\u00ff'];
    const framings = [[], ['content-length: 5'], ['transfer-encoding: chunked']];
    const others = ['x-user: 1', 'cookie: a=b', 'Connection: x-secret', 'x-secret: 1', 'te: trailers', 'keep-alive: 5'];
    for (let round = 0; round < 5000; round++) {
      const framing = one(framings);
      const some = others.filter(() => dice.roll() < 0.5);
      const head = requestHead('POST /a HTTP/1.1', 'host: orders.shop', ...framing, ...some);
      const pick = () => anyCase(one(names));
      const drop = Array.from({ length: 3 }, pick);
      const lines = Array.from({ length: 3 }, () => [pick(), one(values)] as const);
      const plain = sent(head, new LineEdits({ drop: [], lines: [] }));
      const result = sent(head, new LineEdits({ drop, lines }));
      const facts = ({ chunked, contentLength, hosts, close, keepAlive, nominated, upgrade, teTrailers }: Head) => {
        return { chunked, contentLength, hosts, close, keepAlive, nominated, upgrade, teTrailers };
      };
      assert.deepEqual(facts(result), facts(plain), JSON.stringify({ drop, lines }));
      assert.equal(result.text(result.authorityStart, result.authorityEnd), 'orders.shop');
    }
  });
});
