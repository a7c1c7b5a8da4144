import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as dial } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { connect, headers, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { type DemoBroker, startBroker } from '../../../src/cli/demo/broker.ts';

describe('the broker of the try-out, with the official client', () => {
  let broker: DemoBroker;
  let links: NatsConnection[];
  beforeEach(async () => {
    broker = await startBroker();
    links = [];
  });
  afterEach(async () => {
    await Promise.all(links.map(async (one) => await one.close()));
    await broker.close();
  });

  async function link(): Promise<NatsConnection> {
    const made = await connect({ servers: `127.0.0.1:${broker.port}`, reconnect: false });
    links.push(made);
    return made;
  }

  /** Hears so many messages. */
  async function hear(from: NatsConnection, pattern: string, max: number): Promise<readonly Msg[]> {
    const heard: Msg[] = [];
    for await (const message of from.subscribe(pattern, { max })) heard.push(message);
    return heard;
  }

  test('a message reaches whoever subscribed to its subject, also with wildcards, and nobody else', async () => {
    const [sender, hearer] = [await link(), await link()];
    const exact = hear(hearer, 'demo.a', 1);
    const wild = hear(hearer, 'demo.*', 2);
    const all = hear(hearer, 'demo.>', 3);
    await hearer.flush();
    for (const subject of ['other.a', 'demo.a', 'demo.b', 'demo.c.d']) sender.publish(subject, subject);
    assert.deepEqual(
      (await exact).map((msg) => msg.string()),
      ['demo.a'],
    );
    assert.deepEqual(
      (await wild).map((msg) => msg.string()),
      ['demo.a', 'demo.b'],
    );
    assert.deepEqual(
      (await all).map((msg) => msg.string()),
      ['demo.a', 'demo.b', 'demo.c.d'],
    );
  });

  test('headers and empty and large bodies come as they were sent', async () => {
    const [sender, hearer] = [await link(), await link()];
    const heard = hear(hearer, 'demo.a', 2);
    await hearer.flush();
    const block = headers();
    block.append('Content-Type', 'text/plain');
    sender.publish('demo.a', '', { headers: block });
    const body = new Uint8Array(1_000_000).fill(7);
    sender.publish('demo.a', body);
    const [empty, large] = await heard;
    assert.equal(empty?.headers?.get('Content-Type'), 'text/plain');
    assert.equal(empty.data.length, 0);
    assert.deepEqual(large?.data, body);
  });

  test('of a queue group one hears each message', async () => {
    const [sender, one, other] = [await link(), await link(), await link()];
    let heard = 0;
    for (const member of [one, other])
      member.subscribe('demo.a', {
        queue: 'workers',
        callback: () => {
          heard++;
        },
      });
    await Promise.all([one.flush(), other.flush()]);
    for (let sent = 0; sent < 100; sent++) sender.publish('demo.a');
    await sender.flush();
    await Promise.all([one.flush(), other.flush()]);
    assert.equal(heard, 100);
  });

  test('a request gets its reply, and one that nobody hears is told so at once', async () => {
    const [asker, answerer] = [await link(), await link()];
    answerer.subscribe('demo.time', {
      callback: (_error, msg) => {
        msg.respond('now');
      },
    });
    await answerer.flush();
    assert.equal((await asker.request('demo.time', '', { timeout: 5000 })).string(), 'now');
    await assert.rejects(asker.request('demo.nobody', '', { timeout: 5000 }), /no responders/i);
  });

  test('there is no JetStream, and it says so', async () => {
    const client = await link();
    assert.equal(client.info?.jetstream, undefined);
    await assert.rejects(client.request('$JS.API.INFO', '', { timeout: 5000 }), /no responders/i);
  });

  const WRONG: readonly (readonly [string, string, RegExp])[] = [
    ['an unknown operation', 'HELLO\r\n', /Unknown Protocol Operation/],
    ['a line without an end', 'X'.repeat(10_000), /Maximum Control Line/],
    ['a payload that is too large', 'PUB demo.a 9999999\r\n', /Maximum Payload/],
    ['a payload without its end', 'PUB demo.a 2\r\nabcd', /Unknown Protocol Operation/],
    ['a wildcard in a subject', 'PUB demo.* 0\r\n\r\n', /Invalid Publish Subject/],
    ['an empty token', 'SUB demo..a 1\r\n', /Invalid Subject/],
    ['headers longer than the message', 'HPUB demo.a 9 3\r\n', /Unknown Protocol Operation/],
    ['CONNECT that is no JSON', 'CONNECT {\r\n', /Unknown Protocol Operation/],
  ];
  for (const [name, text, expected] of WRONG)
    test(`${name} ends the connection with the reason`, async () => {
      const socket = dial(broker.port, '127.0.0.1');
      let said = '';
      socket.setEncoding('latin1').on('data', (piece: string) => (said += piece));
      socket.write(text);
      await once(socket, 'close');
      assert.match(said, /^INFO .*\r\n-ERR '/);
      assert.match(said, expected);
    });
});
